"""Replacing a file so that it is, at every moment and after a power cut, either the old one or the new one."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from retrieval.errors import CollectionError

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
        said = error.strerror or str(error)
        raise CollectionError(f"cannot write {path}: {said}; make room or allow writing, then try again") from error


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
