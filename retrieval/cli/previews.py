"""Pictures of the hits in the terminal, above the table: ``search --preview``."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from retrieval.cli.dashes import QueryCommand
from retrieval.cli.options import say
from retrieval.cli.quiet import native_libraries_silenced
from retrieval.messages import _, retold

if TYPE_CHECKING:
    from retrieval.types import Hit, Hits
    from retrieval.viewing.graphics import Protocol
    from retrieval.viewing.strips import Grid
    from retrieval.viewing.thumbnails import Seen


class Preview(StrEnum):
    """How pictures are drawn in the terminal."""

    auto = "auto"
    kitty = "kitty"
    iterm = "iterm"
    sixel = "sixel"
    blocks = "blocks"


class WithPreview(QueryCommand):
    """A command whose ``--preview`` may stand without a value: what follows it is one only if it names a protocol."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's own signature
        """Read the arguments."""
        return super().parse_args(ctx, list(_with_value(args)))


def _with_value(args: Sequence[str]) -> Iterator[str]:
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            yield arg
            break
        if arg != "--preview":
            yield arg
            continue
        follows = next(rest, None)
        named = follows in Preview.__members__
        yield f"--preview={follows}" if named else "--preview=auto"
        if follows == "--":
            yield follows
            break
        if follows is not None and not named:
            yield follows
    yield from rest


def print_previews(hits: "Hits", preview: Preview) -> None:
    """Draw the hits side by side over the width of the terminal, each with its rank, score and name below.

    Without a named protocol nothing is drawn where stdout is no terminal, or none that can draw; a line says so.
    """
    from retrieval.viewing.protocol import has_many_colours, in_tmux

    protocol = _protocol(preview)
    if protocol is None:
        return
    from retrieval.viewing.graphics import drawn, through_tmux
    from retrieval.viewing.strips import grid_for, strip

    grid = grid_for(shutil.get_terminal_size().columns, protocol, _cell_pixels())
    wrapped = in_tmux(os.environ) and protocol in ("kitty", "iterm")
    many = has_many_colours(os.environ)
    for first in range(0, len(hits.hits), grid.across):
        row = hits.hits[first : first + grid.across]
        with native_libraries_silenced():
            seen = _seen(row, grid)
            picture = drawn(*strip([one.pixels for one in seen], grid), protocol, many_colours=many)
        captions = "\n".join(_captions(row, seen, grid.tile.columns))
        # One write: a sequence that is cut in the middle would swallow what comes after it.
        sys.stdout.write((through_tmux(picture) if wrapped else picture) + f"\n{captions}\n\n")
        sys.stdout.flush()


def _protocol(preview: Preview) -> "Protocol | None":
    from retrieval.viewing.protocol import detect

    if preview is not Preview.auto:
        return preview.value  # type: ignore[return-value]
    if not sys.stdout.isatty():
        say(_("no previews: the output is not a terminal; --preview kitty, iterm, sixel or blocks draws them anyway"))
        return None
    protocol = detect(os.environ)
    if protocol is None:
        say(_("no previews: this terminal draws no pictures; --preview blocks draws them of half blocks anyway"))
    return protocol


def _cell_pixels() -> tuple[int, int]:
    """Return the (width, height) in pixels of the terminal's cells, where it tells, else the usual ones."""
    from retrieval.viewing.strips import USUAL_CELL

    try:
        import fcntl
        import struct
        import termios

        told = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
        rows, columns, wide, high = struct.unpack("=4H", told)
    except (ImportError, OSError, ValueError):  # not on Windows; or stdout is no terminal
        return USUAL_CELL
    if not (rows and columns and wide >= 4 * columns and high >= 4 * rows):
        return USUAL_CELL
    return wide // columns, high // rows


def _seen(row: "Sequence[Hit]", grid: "Grid") -> "list[Seen]":
    """Decode what a row of hits shows, a video's best frame, about as large as it is drawn."""
    from retrieval.viewing.thumbnails import looks, spot_of

    spots = [spot_of(hit) for hit in row]
    found = {seen.spot: seen for seen in looks(spots, max(32, grid.tile.rows * grid.cell[1]))}
    return [found[spot] for spot in spots]


def _captions(row: "Sequence[Hit]", seen: "Sequence[Seen]", columns: int) -> Iterator[str]:
    """Yield two lines of text: below each picture its rank, score and time, and its name."""
    from pathlib import Path

    from retrieval.present import visible
    from retrieval.viewing.pages import clock

    above, below = [], []
    for hit, one in zip(row, seen, strict=True):
        time = "" if hit.at_s is None else f"  {clock(hit.at_s)}"
        above.append(_cut(f"{hit.rank}  {hit.score:.4f}{time}", columns))
        name = visible(Path(hit.path).name)
        below.append(_cut(name if one.pixels is not None else f"{name}: {visible(retold(one.reason))}", columns))
    yield "  ".join(above).rstrip()
    yield "  ".join(below).rstrip()


def _cut(text: str, columns: int) -> str:
    """Return text that takes exactly so many columns; wide letters take two."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(text, columns) if cell_len(text) <= columns else set_cell_size(text, columns - 1) + "…"
