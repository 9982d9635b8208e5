"""Walks a source and yields its media files as entries; opens no file but ignore files."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from indexer.beside import Shelf
from indexer.ignore import IGNORE_FILE, Rules, is_junk, rules_for
from retrieval.media import MEDIA_SUFFIXES
from retrieval.messages import N_
from retrieval.store import Entry

Problems = Callable[[Path, str], None]
"""Hears of a path that could not be looked at, and why; whatever lies at or below it is unknown, not gone."""


class _Folder(NamedTuple):
    path: str
    rules: Rules


class _Listing(NamedTuple):
    """What one folder holds, each part sorted by the bytes of the names, which come with the files."""

    files: list[tuple[bytes, os.DirEntry[str]]]
    folders: list[os.DirEntry[str]]
    rules: Rules
    shelf: Shelf


def _silent(path: Path, reason: str) -> None:
    """Take a problem and do nothing."""


def scan(
    source: Path, exclude: Sequence[str] = (), problems: Problems = _silent, *, within: Path | None = None
) -> Iterator[Entry]:
    """Walk ``source`` (a folder, or a single file) and yield the media files in it.

    The order is the same each time: the files of a folder sorted by the bytes of their names, then its folders. Links
    to files and folders are followed; a folder is walked once however many ways lead to it, under its real place where
    that is inside the source, so linked folders come last and loops end. Left out are hidden and system files, what
    ignore files and ``exclude`` (gitignore patterns relative to ``source``) name, and other collections. A pipe, socket
    or device is never opened.

    ``within`` restricts the walk to one file or folder of the source; all rules above it stay in force.

    Raises:
        RetrievalError: an ``exclude`` pattern is not gitignore syntax.
    """
    root = os.path.abspath(source)  # noqa: PTH100 (Path.absolute keeps "..")
    rules = rules_for(root, exclude)
    try:
        status = Path(root).stat()
    except OSError as error:
        problems(Path(root), reason_of(error))
        return
    if stat.S_ISREG(status.st_mode):
        found = Shelf.around(Path(root)).of(Path(root).name)
        yield Entry(Path(root), status.st_size, status.st_mtime_ns, found.paths, found.mark)
    elif stat.S_ISDIR(status.st_mode):
        yield from _walk(_Folder(root, rules), problems, None if within is None else os.fspath(within))
    else:
        problems(Path(root), N_("neither a file nor a folder"))


def reason_of(error: OSError) -> str:
    """Return why the system refused, in its own words without number and path."""
    return (error.strerror or str(error)).lower()


def _walk(root: _Folder, problems: Problems, within: str | None) -> Iterator[Entry]:
    # The folders above the source count as visited: a link to one of them must not lead out and around.
    visited = {(status.st_dev, status.st_ino) for status in map(Path.stat, Path(root.path).parents)}
    stack, linked = [root], deque[_Folder]()
    while stack or linked:
        folder = stack.pop() if stack else linked.popleft()
        listing = _list(folder, visited, problems, within)
        if listing is None:
            continue
        stem = os.fsencode(folder.path).rstrip(b"/") + b"/"
        for name, file in listing.files:
            entry = _entry(stem + name, file, listing.shelf, problems)
            if entry is not None:
                yield entry
        below = [(_Folder(entry.path, listing.rules), entry.is_symlink()) for entry in listing.folders]
        linked.extend(child for child, is_link in below if is_link)
        stack.extend(child for child, is_link in reversed(below) if not is_link)


def _entry(raw: bytes, file: os.DirEntry[str], shelf: Shelf, problems: Problems) -> Entry | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None  # deleted since the folder was listed
    except OSError as error:
        problems(Path(file.path), reason_of(error))
        return None
    found = shelf.of(file.name)
    return Entry._make((raw, status.st_size, status.st_mtime_ns, *found))


def _list(folder: _Folder, visited: set[tuple[int, int]], problems: Problems, within: str | None) -> _Listing | None:
    try:
        status = Path(folder.path).stat()
        if (status.st_dev, status.st_ino) in visited:
            return None
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(folder.path) as listing:
            entries = list(listing)
    except OSError as error:
        problems(Path(folder.path), reason_of(error))
        return None
    names = {entry.name for entry in entries}
    if "catalog.sqlite" in names and "manifest.json" in names:
        return None  # a collection's own folder
    rules = folder.rules
    if IGNORE_FILE in names and os.path.isfile(os.path.join(folder.path, IGNORE_FILE)):  # noqa: PTH113, PTH118
        rules = rules.deeper(folder.path, problems)
    shelf = Shelf(entries, rules)
    if within is not None:
        entries = [entry for entry in entries if _on_the_way(entry.path, within)]
    return _sorted_out(entries, rules, shelf, problems)


def _on_the_way(path: str, within: str) -> bool:
    return path == within or within.startswith(path + "/") or path.startswith(within + "/")


def _sorted_out(entries: list[os.DirEntry[str]], rules: Rules, shelf: Shelf, problems: Problems) -> _Listing:
    files: list[os.DirEntry[str]] = []
    folders: list[os.DirEntry[str]] = []
    for entry in entries:
        name = entry.name
        if is_junk(name):
            continue
        is_media = name[name.rfind(".") :].lower() in MEDIA_SUFFIXES
        try:
            if entry.is_dir():
                folders.append(entry)
            elif is_media and entry.is_file():
                files.append(entry)
            elif entry.is_symlink():
                Path(entry.path).stat()  # tells a link to nothing from a link to something else
        except OSError as error:
            problems(Path(entry.path), reason_of(error))
    if rules:
        files = [entry for entry in files if not rules.ignores(entry.path, folder=False)]
        folders = [entry for entry in folders if not rules.ignores(entry.path, folder=True)]
    named = [(os.fsencode(entry.name), entry) for entry in files]
    named.sort(key=itemgetter(0))
    folders.sort(key=lambda entry: os.fsencode(entry.name))
    return _Listing(named, folders, rules, shelf)
