"""Keeps a collection up to date while its sources change."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.beside import is_sidecar
from indexer.ignore import IGNORE_FILE, is_junk
from indexer.interrupts import never
from indexer.pipeline import index
from indexer.report import IndexOptions, Listener, Summary
from indexer.sources import is_inside
from retrieval.embedding import Embedder
from retrieval.errors import RetrievalError
from retrieval.media.suffixes import MEDIA_SUFFIXES
from retrieval.messages import _
from retrieval.store import Collection

if TYPE_CHECKING:
    from watchfiles import Change

LOOK_S = 5.0
"""How often missing sources are looked for."""
REFRESH_S = 900.0
"""How often all sources are walked though nothing was heard: network drives tell of no changes made elsewhere."""
_QUIET_MS = 800
"""A burst of changes is answered once nothing has happened for so long (a file still being copied keeps happening)."""
_LONGEST_BURST_MS = 15_000
_POLL_MS = 200
_DEAF_LOOKS = 12


def watch(
    collection: Collection,
    embedder: Embedder,
    options: IndexOptions = IndexOptions(),  # noqa: B008 (a frozen value)
    *,
    progress: Listener | None = None,
    stop: Callable[[], bool] = never,
    trouble: Callable[[str], None] = lambda line: None,
    look_s: float = LOOK_S,
) -> Iterator[Summary]:
    """Refresh all sources, then again whenever something in them changes; yield each round that changed something.

    A source that is missing is looked for each ``look_s`` seconds until it is there. An error in a round is told to
    ``trouble`` in one line and the round is tried again after as long; only the first round raises. Ends once
    ``stop()`` is true, after what is under way is finished and committed.

    Raises:
        RetrievalError: as ``index`` raises, in the first round.
    """
    options = replace(options, dry_run=False)
    watcher = _Watcher(collection, stop, trouble, look_s)
    first = True
    while not stop():
        watcher.listen()  # before looking, so that what happens meanwhile is heard
        try:
            summary = index(collection, embedder, (), options, progress, stop)
        except (RetrievalError, OSError) as error:
            if first:
                raise
            trouble(" ".join(str(error).split()))
            watcher.pause(look_s)
            continue
        first = False
        options = replace(options, reembed=False, retry_failed=False)
        if summary.changes:
            yield summary
        watcher.wait()


@dataclass(frozen=True, slots=True)
class _StopEvent:
    """The form of ``stop`` that watchfiles asks."""

    stop: Callable[[], bool]

    def is_set(self) -> bool:
        return self.stop()


class _Watcher:
    """Waits for the next reason to look at the sources: a change, a source that comes or goes, or long silence."""

    def __init__(
        self, collection: Collection, stop: Callable[[], bool], trouble: Callable[[str], None], look_s: float
    ) -> None:
        self._collection = collection
        self._stop = stop
        self._trouble = trouble
        self._look_s = look_s
        self._present: dict[Path, tuple[int, int]] = {}
        self._events: Iterator[set[tuple[Change, str]]] | None = None

    def listen(self) -> None:
        """Hear of changes in all sources that are there now."""
        present = self._sources_there()
        if present == self._present and self._events is not None:
            return
        self._present, self._events = present, None
        if not present:
            return
        from watchfiles import watch as changes

        self._events = changes(
            *present,
            watch_filter=self._matters,
            debounce=_LONGEST_BURST_MS,
            step=_QUIET_MS,
            stop_event=_StopEvent(self._stop),
            rust_timeout=_POLL_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        self._heard()  # the generator begins to listen with its first step

    def wait(self) -> None:
        """Return when there is a reason to look, or once ``stop()`` is true."""
        began_s = looked_s = time.monotonic()
        while not self._stop():
            if self._heard():
                return
            now = time.monotonic()
            if now - looked_s >= self._look_s:
                looked_s = now
                if self._sources_there() != self._present:
                    return
            is_deaf = self._events is None and bool(self._present)
            if now - began_s >= (_DEAF_LOOKS * self._look_s if is_deaf else REFRESH_S):
                return

    def _heard(self) -> bool:
        """Listen for a moment; without anything that listens, wait until it is time to look."""
        if self._events is None:
            self.pause(self._look_s)
            return False
        try:
            return bool(next(self._events, None))
        except (OSError, RuntimeError) as error:
            self._deaf(error)
            return False

    def _deaf(self, error: Exception) -> None:
        """Go on without hearing (the system's limit of watched folders, say): the sources are walked now and then."""
        self._events = None
        said = " ".join(str(error).split())
        every_s = _DEAF_LOOKS * self._look_s
        self._trouble(
            _("the system cannot watch the sources ({reason}); looking every {seconds:g} s instead").format(
                reason=said, seconds=every_s
            )
        )

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until ``stop()`` is true."""
        end_s = time.monotonic() + seconds
        while not self._stop() and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(_POLL_MS / 1000, left_s))

    def _sources_there(self) -> dict[Path, tuple[int, int]]:
        """Return the sources that exist with device and inode, which tell a drive from the folder it is mounted on."""
        there = {}
        for source in self._collection.sources():
            try:
                status = source.path.stat()
            except OSError:
                continue
            there[source.path] = (status.st_dev, status.st_ino)
        return there

    def _matters(self, change: "Change", path: str) -> bool:
        """Return whether a change can concern a media file or what stands beside one; what was deleted may have been a
        folder of them.
        """
        name = os.path.basename(path)  # noqa: PTH119 (called for each event)
        if is_inside(Path(path), self._collection.folder):
            return False
        if name == IGNORE_FILE:
            return True
        if is_junk(name):
            return False
        is_media = os.path.splitext(name)[1].lower() in MEDIA_SUFFIXES  # noqa: PTH122
        return is_media or is_sidecar(name) or change.name == "deleted" or os.path.isdir(path)  # noqa: PTH112
