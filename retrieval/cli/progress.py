"""How far an index run has come: a live bar on a terminal, a line now and then into a file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrieval.cli.options import say
from retrieval.messages import N_, _, retold

if TYPE_CHECKING:
    from indexer import Progress

_LINE_EVERY_S = 10.0


@contextmanager
def progress_display(noun: str = N_("files")) -> "Iterator[Callable[[Progress], None]]":
    """Yield the callback that shows progress on stderr; nothing is left on the screen afterwards.

    ``noun`` names what is counted: a message marked with ``N_``.
    """
    if sys.stderr.isatty():
        with _bar(noun) as update:
            yield update
    else:
        yield _lines(noun)


def counting(show: "Callable[[Progress], None]") -> Callable[[int, int], None]:
    """Return what turns counts into progress with a rate and the time left."""
    from indexer import Progress

    began_s = time.monotonic()

    def count(done: int, total: int) -> None:
        rate = done / max(time.monotonic() - began_s, 1e-6)
        show(Progress(done, total, done, rate, (total - done) / rate if done else None, None))

    return count


@contextmanager
def _bar(noun: str) -> "Iterator[Callable[[Progress], None]]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]} {task.fields[left]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("index", total=None, rate="", left="")

        def update(progress: "Progress") -> None:
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                rate=_("{rate:.1f} {noun}/s").format(rate=progress.rate, noun=retold(noun)),
                left="" if progress.left_s is None else _("{time} left").format(time=time_left(progress.left_s)),
            )

        yield update


def _lines(noun: str) -> "Callable[[Progress], None]":
    last = time.monotonic()

    def update(progress: "Progress") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_EVERY_S:
            last = now
            left = "" if progress.left_s is None else _(", {time} left").format(time=time_left(progress.left_s))
            say(
                _("{done:,} of {total:,} {noun}, {rate:.1f} {noun}/s{left}").format(
                    done=progress.done, total=progress.total, noun=retold(noun), rate=progress.rate, left=left
                )
            )

    return update


def time_left(seconds: float) -> str:
    """Return ``45 s``, ``12 min`` or ``3 h 05 min``."""
    whole = round(seconds)
    if whole < 90:
        return _("{seconds} s").format(seconds=whole)
    if whole < 5400:
        return _("{minutes} min").format(minutes=round(whole / 60))
    return _("{hours} h {minutes:02d} min").format(hours=whole // 3600, minutes=whole % 3600 // 60)
