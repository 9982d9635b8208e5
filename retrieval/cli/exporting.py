"""``sightseek export``: what a search finds, or all that a collection holds, as files of other kinds."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from retrieval.cli.asking import Request, answered, asks
from retrieval.cli.options import named_path, say, settings_for, shown
from retrieval.cli.progress import counting, progress_display
from retrieval.cli.quiet import native_libraries_silenced
from retrieval.messages import N_, _, ngettext, retold

if TYPE_CHECKING:
    from retrieval.exports import Gathered, Made, Unread
    from retrieval.store import Collection
    from retrieval.types import Hit, Hits


class ExportKind(StrEnum):
    """What hits become."""

    copy = "copy"
    link = "link"
    hardlink = "hardlink"
    clip = "clip"
    sheet = "sheet"
    html = "html"
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    npz = "npz"


_FOLDERS = frozenset({ExportKind.copy, ExportKind.link, ExportKind.hardlink, ExportKind.clip})
_TABLES = frozenset({ExportKind.csv, ExportKind.jsonl, ExportKind.parquet, ExportKind.npz})
_TEXTS = frozenset({ExportKind.csv, ExportKind.jsonl, ExportKind.html})
_ENDINGS = {
    ".csv": ExportKind.csv,
    ".jsonl": ExportKind.jsonl,
    ".ndjson": ExportKind.jsonl,
    ".parquet": ExportKind.parquet,
    ".npz": ExportKind.npz,
    ".html": ExportKind.html,
    ".htm": ExportKind.html,
    ".jpg": ExportKind.sheet,
    ".jpeg": ExportKind.sheet,
    ".png": ExportKind.sheet,
}
_STDOUT = Path("-")
Fill = Callable[[BinaryIO], object]


@asks
def export(
    request: Request,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FOLDER|FILE", parser=named_path, help="Where to: a folder, a file, or - for stdout."
        ),
    ],
    kind: Annotated[
        ExportKind | None,
        typer.Option("--as", help="What the hits become; else by the ending of --out; in a folder, copies."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Cut clips at the frame, encoded anew, not copied from the keyframe on.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All that the collection holds, or what --where selects, without a query.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    null: Annotated[bool, typer.Option("-0", help="The printed paths end with NUL instead of a newline.")] = False,
) -> None:
    """Write what is found as files: copies, links, clips, a contact sheet, a table, or vectors.

    What was written is printed. Files in a folder never take the place of others.
    """
    chosen = kind or _ENDINGS.get(out.suffix.lower(), ExportKind.copy)
    _check(request, out, chosen, exact=exact, everything=everything, force=force)
    with _source(request, everything) as (collection, hits):
        if hits is not None and not hits.hits:
            return
        if chosen in _FOLDERS:
            unread = _to_folder(collection, hits, request, out, chosen.value, exact, null)
        else:
            unread = []
            with progress_display(_noun(chosen)) as show:
                _to_file(out, _filling(collection, hits, request, chosen, out, counting(show)), force, null)
    for one in unread:
        said = _("could not read {path}: {reason}")
        say(said.format(path=shown(one.path), reason=retold(one.reason)))
    if unread:
        raise typer.Exit(3)


def _check(request: Request, out: Path, kind: ExportKind, *, exact: bool, everything: bool, force: bool) -> None:
    """Make sure that the options go together and ``--out`` can be what it is to be, before anything is looked for.

    Raises:
        OptionError: they do not, or it cannot.
    """
    from retrieval.errors import OptionError

    if exact and kind is not ExportKind.clip:
        raise OptionError(_("--exact is about clips; add --as clip"))
    if everything and (request.text or request.like or request.minus):
        raise OptionError(_("--all takes no query; leave out the words, --like and --minus, or --all"))
    if everything and kind in (ExportKind.clip, ExportKind.sheet, ExportKind.html):
        raise OptionError(_("--as {kind} wants a query; leave out --all").format(kind=kind.value))
    if out == _STDOUT:
        if kind not in _TEXTS:
            raise OptionError(_("only csv, jsonl and html go to stdout; add --as csv, or name a file"))
    elif kind in _FOLDERS:
        if out.exists() and not out.is_dir():
            raise OptionError(_("{path} is a file; --as {kind} wants a folder").format(path=out, kind=kind.value))
    elif out.is_dir() or not out.parent.is_dir():
        said = _("{path} cannot be written: there is no folder {folder}, or a folder has that name")
        raise OptionError(said.format(path=out, folder=out.parent))
    elif os.path.lexists(out) and not force:
        raise OptionError(_("{path} is there already; name another file, or add --force").format(path=out))
    elif kind is ExportKind.sheet and _ENDINGS.get(out.suffix.lower()) is not ExportKind.sheet:
        raise OptionError(_("a contact sheet is a picture; let --out end in .jpg or .png"))


@contextmanager
def _source(request: Request, everything: bool) -> "Iterator[tuple[Collection, Hits | None]]":
    """Open the collection and, unless everything is wanted, find the hits; says so when there are none."""
    if not everything:
        with answered(request) as answer:
            if answer.nothing:
                say(answer.nothing)
            yield answer.collection, answer.hits
        return
    from retrieval.store import Collection

    with native_libraries_silenced(), Collection.open(settings_for(request.collection).collection) as opened:
        for note in opened.notes:
            say(note)
        yield opened, None


def _noun(kind: ExportKind) -> str:
    return N_("pictures") if kind in (ExportKind.sheet, ExportKind.html) else N_("items")


def _filling(
    collection: "Collection",
    hits: "Hits | None",
    request: Request,
    kind: ExportKind,
    out: Path,
    progress: Callable[[int, int], None],
) -> Fill:
    """Return what writes a file of hits, or of all items if there are none."""
    if kind is ExportKind.html:
        from retrieval.viewing.sheet import sheet_of

        assert hits is not None
        page = sheet_of(hits, progress).encode("utf-8", "replace")
        return lambda file: file.write(page)
    if kind is ExportKind.sheet:
        from retrieval.viewing.contact import write_sheet

        assert hits is not None
        found = hits
        return lambda file: write_sheet(file, found, png=out.suffix.lower() == ".png", progress=progress)
    from retrieval import exports
    from retrieval.query import parse_where

    if hits is not None:
        gathered = exports.gather_hits(collection, hits)
    else:
        gathered = exports.gather_all(collection, parse_where(request.where))
    gathered.progress = progress
    write: Callable[[BinaryIO, Gathered], None] = {
        ExportKind.csv: exports.write_csv,
        ExportKind.jsonl: exports.write_jsonl,
        ExportKind.parquet: exports.write_parquet,
        ExportKind.npz: exports.write_npz,
    }[kind]
    return lambda file: write(file, gathered)


def _to_file(out: Path, fill: Fill, force: bool, null: bool) -> None:
    from retrieval.errors import OptionError
    from retrieval.store.durable import put

    if out == _STDOUT:
        sys.stdout.flush()
        fill(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    try:
        put(out, fill, over=force)
    except FileExistsError:
        raise OptionError(_("{path} is there already; name another file, or add --force").format(path=out)) from None
    _print_paths([out], null)


def _to_folder(
    collection: "Collection",
    hits: "Hits | None",
    request: Request,
    folder: Path,
    how: str,
    exact: bool,
    null: bool,
) -> "list[Unread]":
    """Make a file of each hit, print its path, and return what could not be read."""
    from retrieval.exports import Made, export_files, whole_files
    from retrieval.query import parse_where

    found: Iterable[Hit]
    if hits is not None:
        found, total = hits.hits, len(hits.hits)
        digits = len(str(max(hit.rank for hit in hits.hits)))
    else:
        where = parse_where(request.where)
        total = collection.count(where)
        found, digits = whole_files(collection, where), len(str(total))
    made: list[Made] = []
    unread: list[Unread] = []
    with progress_display("files") as show:
        tell = counting(show)
        for one in export_files(found, folder, how, digits=digits, exact=exact):  # type: ignore[arg-type]
            if isinstance(one, Made):
                made.append(one)
                _print_paths([one.path], null)
            else:
                unread.append(one)
            tell(len(made) + len(unread), total)
    _say_what_was_made(made, folder, how, exact)
    _say_if_indexed(collection, folder, how)
    return unread


def _say_what_was_made(made: "list[Made]", folder: Path, how: str, exact: bool) -> None:
    said = ngettext("{count:,} file in {folder}", "{count:,} files in {folder}", len(made))
    say(said.format(count=len(made), folder=shown(folder)))
    for one in made:
        if one.excerpt is not None and one.excerpt.note:
            say(f"{shown(one.path)}: {retold(one.excerpt.note)}")
    early = [
        one.hit.start_s - one.excerpt.start_s
        for one in made
        if one.excerpt is not None and one.excerpt.start_s is not None and one.hit.start_s is not None
    ]
    if how == "clip" and not exact and max(early, default=0.0) > 0.1:
        said = _("copied clips begin at the keyframe before, up to {seconds:.1f} s early; --exact cuts at the frame")
        say(said.format(seconds=max(early)))


def _say_if_indexed(collection: "Collection", folder: Path, how: str) -> None:
    absolute = folder.absolute()
    if any(absolute.is_relative_to(source.path) for source in collection.sources()):
        said = _("{folder} lies in a source of the collection: the next index takes in what is there now")
        say(said.format(folder=shown(folder)))


def _print_paths(paths: Iterable[Path], null: bool) -> None:
    sys.stdout.flush()
    for path in paths:
        sys.stdout.buffer.write(os.fsencode(path) + (b"\0" if null else b"\n"))
    sys.stdout.buffer.flush()
