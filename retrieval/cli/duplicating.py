"""``sightseek duplicates``: which files are copies of one another, or alike."""

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.cli.options import CollectionOption, named_path, say, settings_for
from retrieval.cli.progress import counting, progress_display
from retrieval.messages import N_, _, ngettext

if TYPE_CHECKING:
    from retrieval.duplicates import Group
    from retrieval.duplicates.records import Suggestion


class Level(StrEnum):
    """How alike files must be."""

    exact = "exact"
    identical = "identical"
    similar = "similar"


class DuplicateFormat(StrEnum):
    """How groups are printed."""

    table = "table"
    jsonl = "jsonl"
    paths = "paths"


class Only(StrEnum):
    """Which files of the groups are printed."""

    keep = "keep"
    spare = "spare"
    look = "look"


def duplicates(  # noqa: PLR0913 - a command's options are its parameters
    within: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", parser=named_path, help="Only among these folders and files."),
    ] = None,
    collection: CollectionOption = None,
    level: Annotated[
        Level, typer.Option("--level", help="The loosest that counts: same bytes, same look, same scene.")
    ] = Level.identical,
    where: Annotated[str, typer.Option("--where", metavar="EXPR", help="Only among these: kind:image ...")] = "",
    across_videos: Annotated[
        bool, typer.Option("--across-videos", help="Also say which pictures are frames of which videos.")
    ] = False,
    collapse_pairs: Annotated[
        bool, typer.Option("--collapse-pairs", help="A photo and its video or raw file count as one.")
    ] = False,
    only: Annotated[Only | None, typer.Option("--only", help="Print only the files with this suggestion.")] = None,
    fmt: Annotated[DuplicateFormat, typer.Option("--format", help="How to print them.")] = DuplicateFormat.table,
    null: Annotated[bool, typer.Option("-0", help="Paths end with NUL instead of a newline (for xargs -0).")] = False,
) -> None:
    """List files that are copies of one another or alike, with what could be spared. Nothing is deleted."""
    from retrieval.config import DuplicateOptions
    from retrieval.duplicates import find_duplicates
    from retrieval.query import parse_where
    from retrieval.store import Collection

    below = tuple(Path(os.path.abspath(path)) for path in within or [])  # noqa: PTH100 - keeps links as they are
    options = DuplicateOptions(level.value, below, across_videos, collapse_pairs)
    chosen = parse_where(where)
    with Collection.open(settings_for(collection).collection) as opened, progress_display("files") as show:
        found = find_duplicates(opened, chosen, options, counting(show))
    for note in (*opened.notes, *found.notes):
        say(note)
    _print(found.groups, DuplicateFormat.paths if null else fmt, only, null)
    _sum_up(found.groups)


def _print(groups: "Sequence[Group]", fmt: DuplicateFormat, only: Only | None, null: bool) -> None:
    from retrieval.duplicates import showing

    chosen: Suggestion | None = only.value if only is not None else None
    if fmt is DuplicateFormat.paths:
        sys.stdout.flush()
        for path in showing.as_paths(groups, chosen, null):
            sys.stdout.buffer.write(path)
        sys.stdout.buffer.flush()
    elif fmt is DuplicateFormat.jsonl:
        for line in showing.as_jsonl(groups, chosen):
            typer.echo(line)
    elif not sys.stdout.isatty():
        for _number, row in showing.as_rows(groups, chosen, N_):  # columns with tabs are for programs, in English
            typer.echo("\t".join(row))
    else:
        _print_table(groups, chosen)


def _print_table(groups: "Sequence[Group]", chosen: "Suggestion | None") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from retrieval.duplicates import showing

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = {"#": "right", _("suggestion"): "left", _("level"): "left", _("similarity"): "right", _("size"): "right"}
    columns |= dict.fromkeys((_("pixels"), _("taken"), _("file"), _("why")), "left")
    for name, justify in columns.items():
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    last = 0
    for number, row in showing.as_rows(groups, chosen):
        if last not in (0, number):
            table.add_row()
        last = number
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _sum_up(groups: "Sequence[Group]") -> None:
    """Say how many groups there are, and what could be spared."""
    from retrieval.duplicates.showing import in_bytes

    if not groups:
        say(_("no duplicates found"))
        return
    members = [member for group in groups for member in group.members]
    spare = sum(member.suggestion == "spare" for member in members)
    text = ngettext("{count:,} group of {files:,} files", "{count:,} groups of {files:,} files", len(groups))
    said = text.format(count=len(groups), files=len(members))
    if spare:
        room = in_bytes(sum(group.spare_bytes for group in groups))
        said += "; " + _("{count:,} could be spared ({room}); nothing was deleted").format(count=spare, room=room)
    say(said)
