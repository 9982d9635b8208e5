"""Who may write: one process for a collection, one thread for an index in memory."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import CollectionError, CollectionLocked
from retrieval.messages import _, reason_of


class WriteLock:
    """The right to write to a collection, held on its ``lock`` file until ``release``.

    The system lets go of it when the process ends, however it ends, so a lock never outlives its holder.
    """

    def __init__(self, path: Path) -> None:
        self._handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            if isinstance(error, BlockingIOError):
                raise CollectionLocked(
                    _(
                        "process {holder} is writing to {folder}; wait until it is done, or stop it, and try again"
                    ).format(holder=holder, folder=path.parent)
                ) from None
            raise CollectionError(
                _("cannot lock {path} ({reason}); keep it on a local disk").format(path=path, reason=reason_of(error))
            ) from error
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others write. Calling it again does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


class SharedLock:
    """Many readers at a time, or one writer; a waiting writer goes before new readers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writers_waiting = 0
        self._writing = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with other readers."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._writers_waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock alone."""
        with self._changed:
            self._writers_waiting += 1
            try:
                self._changed.wait_for(lambda: not self._writing and not self._readers)
            finally:
                self._writers_waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
