"""Writing a file so that it is, at every moment and after a power cut, whole: the old one, the new one, or none."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from retrieval.errors import CollectionError, OutputError
from retrieval.messages import _, reason_of

TEMPORARY = ".tmp"


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in its place; mode 0600.

    Raises:
        CollectionError: the file cannot be written (a full disk, say); what was there before stays.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with cleared(temporary), open_private(temporary) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise CollectionError(
            _("cannot write {path}: {reason}; make room or allow writing, then try again").format(
                path=path, reason=reason_of(error)
            )
        ) from error


def put(path: Path, write: Callable[[BinaryIO], object], *, over: bool = False, private: bool = False) -> None:
    """Let ``write`` fill a draft beside ``path``, then put it in its place in one step; see ``draft``.

    ``over`` lets it take the place of a file that is there. ``write`` may raise what it will: then nothing is left.

    Raises:
        FileExistsError: there is something of that name, and it is not to be written over.
        OutputError: the file cannot be written (a full disk, say); what was there before stays.
    """
    try:
        with draft(path.parent, private=private) as begun:
            write(begun.file)
            begun.put(path, over=over)
    except FileExistsError:
        raise
    except OSError as error:
        raise output_error(path, error) from error


@contextlib.contextmanager
def draft(folder: Path, *, private: bool = False) -> Iterator["Draft"]:
    """Open a temporary file in a folder, to be filled and put in its place; what is not put is removed.

    ``private`` makes it readable by its owner alone, else it is as readable as other new files.

    Raises:
        OSError: it cannot be made.
    """
    temporary = folder / f".sightseek-{os.urandom(8).hex()}{TEMPORARY}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(temporary, flags, 0o600 if private else 0o666), "w+b") as file:
        try:
            yield Draft(temporary, file)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


class Draft:
    """A file that has no name of its own yet; ``file`` is open for reading and writing."""

    def __init__(self, temporary: Path, file: BinaryIO) -> None:
        """Use ``draft``."""
        self.file = file
        self._temporary = temporary

    def put(self, path: Path, *, over: bool = False) -> None:
        """Give what was written its name, in the same folder, in one step; it lasts.

        Raises:
            FileExistsError: there is something of that name, and not ``over``; another name may be tried.
            OSError: it cannot be written.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        if over:
            self._temporary.replace(path)
        else:
            _put_beside_others(self._temporary, path)
        sync_folder(path.parent)


def output_error(path: Path, error: OSError) -> OutputError:
    """Return what to raise where a result cannot be written."""
    return OutputError(
        _("cannot write {path}: {reason}; make room or allow writing, then try again").format(
            path=path, reason=reason_of(error)
        )
    )


def _put_beside_others(temporary: Path, path: Path) -> None:
    """Give a file its name unless something has it: by a second name where the disk has such, else by claiming it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        with cleared(path):
            temporary.replace(path)
    else:
        temporary.unlink()


def open_private(path: Path) -> BinaryIO:
    """Open a file anew for writing, readable by its owner alone."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def cleared(temporary: Path) -> Iterator[None]:
    """Remove the file if the block fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
