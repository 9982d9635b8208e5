"""Hits as files in a folder: copied, linked, or cut to clips; nothing there is ever written over."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from retrieval.errors import MediaError, OutputError
from retrieval.excerpts import Excerpt, write_excerpt
from retrieval.exports.names import alternatives, name_of
from retrieval.messages import N_, _, reason_of
from retrieval.store.durable import Draft, draft, output_error
from retrieval.types import Hit

How = Literal["copy", "link", "hardlink", "clip"]


class Made(NamedTuple):
    """A file that was made of a hit; ``excerpt`` says more of a clip or copy."""

    path: Path
    hit: Hit
    excerpt: Excerpt | None = None


class Unread(NamedTuple):
    """A file that could not be read; ``reason`` is one line without the path, in English."""

    path: str
    reason: str


def export_files(
    hits: Iterable[Hit], folder: Path, how: How, *, digits: int = 1, exact: bool = False
) -> Iterator[Made | Unread]:
    """Make a file of each hit in a folder, which is made if need be, and yield it as soon as it is there.

    ``copy`` copies the file with its times, ``link`` makes a symbolic link to it and ``hardlink`` a second name for it:
    each file once, at its best hit. ``clip`` cuts each moment to a clip (``exact``: see ``write_excerpt``) and copies
    pictures. Names begin with the rank in ``digits``; where one is taken, a number is added. A file appears whole or
    not at all.

    Raises:
        OutputError: the folder cannot be used, or a file not be written; what was made before stays.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    seen: set[str] = set()
    for hit in hits:
        if how != "clip" and hit.path in seen:
            continue
        seen.add(hit.path)
        try:
            yield (
                _linked(hit, folder, how, digits)
                if how in ("link", "hardlink")
                else _written(hit, folder, how == "clip", digits, exact)
            )
        except MediaError as error:
            yield Unread(hit.path, str(error))


def _written(hit: Hit, folder: Path, as_clip: bool, digits: int, exact: bool) -> Made:
    source = hit if as_clip else hit._replace(start_s=None, end_s=None)
    try:
        with draft(folder) as begun:
            excerpt = write_excerpt(source, begun.file, exact=exact)
            if excerpt.start_s is None:
                _keep_times(source.path, begun)
            cut = excerpt.suffix if excerpt.start_s is not None else None
            return Made(_named(folder, name_of(hit, digits, cut), begun.put), hit, excerpt)
    except OSError as error:
        raise output_error(folder, error) from error


def _keep_times(path: str, begun: Draft) -> None:
    begun.file.flush()
    with contextlib.suppress(OSError):  # it is copied, and may be away by now
        found = os.stat(path)  # noqa: PTH116
        os.utime(begun.file.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))


def _linked(hit: Hit, folder: Path, how: How, digits: int) -> Made:
    path = os.path.abspath(hit.path)  # noqa: PTH100 - takes ".." out and keeps links
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except OSError as error:
        raise MediaError((error.strerror or N_("cannot be read")).lower()) from None
    if not regular:
        raise MediaError(N_("not a file that can be read: a folder, a pipe or a device"))
    make: Callable[[Path], None]
    if how == "link":
        make = lambda target: target.symlink_to(path)  # noqa: E731
    else:
        make = lambda target: os.link(os.path.realpath(path), target)  # noqa: E731
    try:
        return Made(_named(folder, name_of(hit, digits), make), hit)
    except OSError as error:
        if how == "hardlink":
            said = _("{path} cannot have a second name in {folder}: {reason}; use --as copy or --as link")
            raise OutputError(said.format(path=path, folder=folder, reason=reason_of(error))) from error
        raise output_error(folder, error) from error


def _named(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Let ``make`` make a file under the first of its names that is free; return it."""
    for one in alternatives(name):
        try:
            make(folder / one)
        except FileExistsError:
            continue
        return folder / one
    raise AssertionError("there are names without end")
