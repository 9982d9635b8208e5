"""``sightseek search``: find by words, by pictures, by clips, or by a mix."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.options import CollectionOption, DeviceOption, say, settings_for
from retrieval.cli.quiet import native_libraries_silenced

if TYPE_CHECKING:
    from retrieval.types import Hits


class HitFormat(StrEnum):
    """How hits are printed."""

    table = "table"
    paths = "paths"
    jsonl = "jsonl"


class Sort(StrEnum):
    """The order in which the best hits are shown."""

    score = "score"
    date = "date"
    path = "path"


def search(  # noqa: PLR0913 - a command's options are its parameters
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help='Words; "a dog" + "snow" - "people" mixes, 1.5:words weighs.'),
    ] = None,
    collection: CollectionOption = None,
    like: Annotated[
        list[str] | None,
        typer.Option("--like", metavar="FILE|ITEM", help="A picture, a clip, or an item such as film.mp4#t=12.5."),
    ] = None,
    minus: Annotated[
        list[str] | None, typer.Option("--minus", metavar="TEXT|FILE", help="Less of this; may be repeated.")
    ] = None,
    where: Annotated[
        str, typer.Option("--where", metavar="EXPR", help="A filter: kind:video ext:jpg date>2024-05 size>1MB ...")
    ] = "",
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits.")] = 10,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Skip this many hits first.")] = 0,
    sort: Annotated[Sort, typer.Option("--sort", help="Order of the best k: by score, date or path.")] = Sort.score,
    fmt: Annotated[HitFormat, typer.Option("--format", help="How to print them.")] = HitFormat.table,
    lang: Annotated[
        str, typer.Option("--lang", metavar="LANG", help="The language of the words: en, zh ...; else guessed.")
    ] = "",
    explained: Annotated[
        bool, typer.Option("--explain", help="Say what each part of the query added to each score.")
    ] = False,
    null: Annotated[bool, typer.Option("-0", help="Paths end with NUL instead of a newline (for xargs -0).")] = False,
    device: DeviceOption = None,
) -> None:
    """Find pictures and moments of video, best first."""
    from retrieval.query import parse_query

    if explained and (null or fmt is HitFormat.paths):
        raise typer.BadParameter("--explain has no place among bare paths; use --format table or jsonl")
    query = parse_query(joined(text or []), like=like or [], minus=minus or [], where=where)
    settings = settings_for(collection, device)
    from retrieval.config import SearchOptions
    from retrieval.embedding import embedder_for
    from retrieval.embedding.languages import parse_language
    from retrieval.embedding.polyglot import Polyglot
    from retrieval.search import Searcher
    from retrieval.store import Collection

    language = parse_language(lang) if lang else None
    with native_libraries_silenced(), Collection.open(settings.collection) as opened:
        embedder = Polyglot(embedder_for(opened.manifest.spec, settings.device), language)
        searcher = Searcher(opened, embedder)
        hits = searcher.search(query, k, SearchOptions(offset=offset, sort=sort.value, explain=explained))
        for note in (*opened.notes, *hits.notes):
            say(note)
        empty = not hits.hits and not opened.count()
    _print_hits(hits, HitFormat.paths if null else fmt, null)
    if empty:
        say("the collection is empty; sightseek index FOLDER fills it")
    elif not hits.hits:
        say("nothing found" if hits.searched else "nothing found: the collection has nothing that --where selects")


def joined(words: list[str]) -> str:
    """Join the shell's words to the text of a query.

    The shell has taken the quotes off by now: with a bare ``+`` or ``-`` among the words, what stands between the signs
    is one quoted part each.
    """
    if not any(word in ("+", "-") for word in words):
        return " ".join(words)
    from retrieval.query import quote_part

    pieces: list[str] = []
    part: list[str] = []
    for word in [*words, "+"]:
        if word in ("+", "-"):
            if part:
                pieces.append(quote_part(" ".join(part)))
            pieces.append(word)
            part = []
        else:
            part.append(word)
    return " ".join(pieces[:-1])


def _print_hits(hits: "Hits", fmt: HitFormat, null: bool) -> None:
    from retrieval import present

    if fmt is HitFormat.paths:
        sys.stdout.flush()
        for path in present.as_paths(hits, null):
            sys.stdout.buffer.write(path)
        sys.stdout.buffer.flush()
    elif fmt is HitFormat.jsonl:
        for line in present.as_jsonl(hits):
            typer.echo(line)
    else:
        _print_table(hits)


def _print_table(hits: "Hits") -> None:
    from retrieval import present

    told = any(hit.shares for hit in hits.hits)
    rows = present.as_told_rows(hits) if told else present.as_rows(hits)
    if not rows:
        return
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = [("#", "right"), ("score", "right"), ("file", "left"), ("moment", "left"), ("parts", "left")]
    for name, justify in columns[: len(rows[0])]:
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
