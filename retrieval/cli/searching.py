"""``sightseek search``: find by words, by pictures, by clips, or by a mix."""

import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.asking import Request, answered, asks
from retrieval.cli.options import say
from retrieval.cli.previews import Preview, print_previews
from retrieval.messages import N_, _

if TYPE_CHECKING:
    from retrieval.types import Hits


class HitFormat(StrEnum):
    """How hits are printed."""

    table = "table"
    paths = "paths"
    jsonl = "jsonl"
    csv = "csv"
    html = "html"


@asks
def search(
    request: Request,
    fmt: Annotated[HitFormat, typer.Option("--format", help="How to print them.")] = HitFormat.table,
    null: Annotated[bool, typer.Option("-0", help="Paths end with NUL instead of a newline (for xargs -0).")] = False,
    explained: Annotated[
        bool, typer.Option("--explain", help="Say what each part of the query added to each score.")
    ] = False,
    queries: Annotated[
        str | None,
        typer.Option("--queries", metavar="FILE", help="Ask the queries in a file, one a line, together; - is stdin."),
    ] = None,
    preview: Annotated[
        Preview | None,
        typer.Option("--preview", help="Draw the hits in the terminal; which way is found out (auto), or named."),
    ] = None,
    opens: Annotated[
        bool, typer.Option("--open", help="Open the first hit in its program, a video at the moment where it can.")
    ] = False,
) -> None:
    """Find pictures and moments of video, best first."""
    fmt = HitFormat.paths if null else fmt
    if explained and fmt in (HitFormat.paths, HitFormat.csv):
        raise typer.BadParameter(_("--explain has no place in paths and CSV; use --format table, jsonl or html"))
    if preview is not None and fmt is not HitFormat.table:
        raise typer.BadParameter(_("--preview goes with the table alone; leave out --format and -0"))
    if queries is not None:
        if fmt is HitFormat.html or preview is not None or opens:
            raise typer.BadParameter(
                _("--queries goes with --format table, paths, jsonl or csv, not --preview or --open")
            )
        _print_lines(request, queries, fmt, null, explained)
        return
    with answered(request, explain=explained) as answer:
        hits, nothing = answer.hits, answer.nothing
    if preview is not None:
        print_previews(hits, preview)
    _print_hits(hits, fmt, null)
    if nothing:
        say(nothing)
    if opens and hits.hits:
        from retrieval.cli.opening import open_hit

        sys.stdout.flush()
        open_hit(hits.hits[0])


def _print_lines(request: Request, file: str, fmt: HitFormat, null: bool, explained: bool) -> None:
    """Print what many queries find, one after the other; rows for programs begin with the number of the line."""
    from retrieval import present
    from retrieval.cli.batches import answer_lines

    for place, (line, answer) in enumerate(answer_lines(request, file, explain=explained)):
        told = {"number": line.number, "query": line.text}
        if fmt is HitFormat.csv and place == 0:
            _write_csv([present.csv_head(told)])
        if isinstance(answer, str):
            if fmt is HitFormat.jsonl:
                typer.echo(present.json_line({**told, "error": answer}))
        elif fmt is HitFormat.jsonl:
            for one in present.as_jsonl(answer, told):
                typer.echo(one)
        elif fmt is HitFormat.csv:
            _write_csv(present.as_csv(answer, told.values()))
        elif fmt is HitFormat.paths:
            _print_hits(answer, fmt, null)
        elif answer.hits and sys.stdout.isatty():
            typer.echo(f"{line.number}: {present.visible(line.text)}")
            _print_table(answer)
        else:
            _print_table(answer, (str(line.number),))


def _print_hits(hits: "Hits", fmt: HitFormat, null: bool) -> None:
    from retrieval import present

    if fmt is HitFormat.paths:
        sys.stdout.flush()
        for path in present.as_paths(hits, null):
            sys.stdout.buffer.write(path)
        sys.stdout.buffer.flush()
    elif fmt is HitFormat.html:
        _print_sheet(hits)
    elif fmt is HitFormat.csv:
        _write_csv([present.csv_head(), *present.as_csv(hits)])
    elif fmt is HitFormat.jsonl:
        for line in present.as_jsonl(hits):
            typer.echo(line)
    else:
        _print_table(hits)


def _write_csv(lines: Iterable[str]) -> None:
    sys.stdout.flush()
    for line in lines:
        sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _print_sheet(hits: "Hits") -> None:
    from retrieval.cli.progress import counting, progress_display
    from retrieval.cli.quiet import native_libraries_silenced
    from retrieval.viewing.sheet import sheet_of

    with native_libraries_silenced(), progress_display(N_("pictures")) as show:
        page = sheet_of(hits, counting(show))
    sys.stdout.flush()
    sys.stdout.buffer.write(page.encode("utf-8", "replace"))  # the page says that it is UTF-8
    sys.stdout.buffer.flush()


def _print_table(hits: "Hits", leading: tuple[str, ...] = ()) -> None:
    from retrieval import present

    told = any(hit.shares for hit in hits.hits)
    rows = present.as_told_rows(hits) if told else present.as_rows(hits)
    folded = any(hit.also is not None for hit in hits.hits)
    if folded:
        rows = [(*row, present.alike_text(hit)) for row, hit in zip(rows, hits.hits, strict=True)]
    if not rows:
        return
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join((*leading, *row)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    probable = hits.hits[0].probability is not None
    more = [*[_("probability")] * probable, *[_("parts")] * told, *[_("alike")] * folded]
    for name in ("#", _("score"), _("file"), _("moment"), *more):
        table.add_column(name, justify="right" if len(table.columns) < 2 else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
