"""Walks a source and yields its media files; opens no file but ignore files."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import NamedTuple

from indexer.beside import Shelf
from indexer.ignore import IGNORE_FILE, JUNK, Rules, rules_for
from retrieval.media.sidecars import SIDECAR_SUFFIXES
from retrieval.media.suffixes import MEDIA_SUFFIXES
from retrieval.messages import N_
from retrieval.store import Entry

Problems = Callable[[Path, str], None]
"""Hears of a path that could not be looked at, and why; whatever lies at or below it is unknown, not gone."""


Seen = tuple[bytes, int, int, str]
"""The bytes of a file's path, its size, its time in nanoseconds, and the mark of what stands beside it."""
_MEDIA = frozenset(map(os.fsencode, MEDIA_SUFFIXES))
_BESIDE = frozenset(map(os.fsencode, SIDECAR_SUFFIXES))
_PATH = attrgetter("path")
_DOT = ord(".")


class Listing(NamedTuple):
    """What one folder holds, each part sorted by the bytes of the paths.

    ``stem`` is the folder's path with a slash behind it, ``folders`` are the paths of those below it that the walk
    lists on their own. A folder that is left out, or was listed before, holds nothing. ``sidecars`` are those of the
    files that have some. Names stay bytes, and files plain tuples: making more of each takes longer than looking at it.
    """

    stem: bytes
    files: list[Seen]
    folders: list[bytes]
    sidecars: dict[bytes, tuple[Path, ...]]

    def entry(self, seen: Seen) -> Entry:
        """Return one of the files as an entry."""
        raw, size_bytes, mtime_ns, beside = seen
        return Entry._make((raw, size_bytes, mtime_ns, self.sidecars.get(raw, ()), beside))


class _Folder(NamedTuple):
    raw: bytes
    rules: Rules


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
    rules_for(root, exclude)  # so that a wrong pattern is told of a single file too
    try:
        status = Path(root).stat()
    except OSError as error:
        problems(Path(root), reason_of(error))
        return
    if stat.S_ISREG(status.st_mode):
        found = Shelf.around(Path(root)).of(Path(root).name)
        yield Entry(Path(root), status.st_size, status.st_mtime_ns, found.paths, found.mark)
    elif stat.S_ISDIR(status.st_mode):
        for listing in walk(Path(root), exclude, problems, within=within):
            yield from map(listing.entry, listing.files)
    else:
        problems(Path(root), N_("neither a file nor a folder"))


def walk(
    root: Path, exclude: Sequence[str] = (), problems: Problems = _silent, *, within: Path | None = None
) -> Iterator[Listing]:
    """Walk a folder (absolute) as ``scan`` does and yield what each folder of it holds, one after the other.

    Raises:
        RetrievalError: an ``exclude`` pattern is not gitignore syntax.
    """
    # The folders above the source count as visited: a link to one of them must not lead out and around.
    visited = {(status.st_dev, status.st_ino) for status in map(Path.stat, root.parents)}
    only = None if within is None else os.fsencode(within)
    stack, linked = [_Folder(os.fsencode(root), rules_for(os.fspath(root), exclude))], deque[_Folder]()
    while stack or linked:
        folder = stack.pop() if stack else linked.popleft()
        lister = _Lister(folder, problems)
        below = lister.sort_out(lister.entries(visited), only)
        yield Listing(_with_slash(folder.raw), lister.seen(), list(map(_PATH, below)), lister.sidecars)
        children = [(_Folder(entry.path, lister.rules), entry.is_symlink()) for entry in below]
        linked.extend(child for child, is_link in children if is_link)
        stack.extend(child for child, is_link in reversed(children) if not is_link)


def reason_of(error: OSError) -> str:
    """Return why the system refused, in its own words without number and path."""
    return (error.strerror or str(error)).lower()


class _Lister:
    """Lists one folder."""

    def __init__(self, folder: _Folder, problems: Problems) -> None:
        self.rules = folder.rules
        self.sidecars: dict[bytes, tuple[Path, ...]] = {}
        self._folder = folder.raw
        self._problems = problems
        self._files: list[os.DirEntry[bytes]] = []
        self._shelf = Shelf()

    def entries(self, visited: set[tuple[int, int]]) -> list[os.DirEntry[bytes]]:
        """Return all that is in the folder; nothing when it was visited or cannot be read."""
        folder = self._folder
        try:
            status = os.stat(folder)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in visited:
                return []
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            self._trouble(folder, error)
            return []
        return entries

    def sort_out(self, entries: list[os.DirEntry[bytes]], only: bytes | None) -> list[os.DirEntry[bytes]]:
        """Keep the media files among the entries, and what stands beside them; return the folders, sorted.

        ``only`` names the file or folder that is looked for, with all sidecars there are.
        """
        files, others = self._media(entries)
        names = {entry.name for entry in others}
        if b"catalog.sqlite" in names and b"manifest.json" in names:
            return []  # a collection's own folder
        if _IGNORE_FILE in names and os.path.isfile(_with_slash(self._folder) + _IGNORE_FILE):  # noqa: PTH113
            self.rules = self.rules.deeper(os.fsdecode(self._folder), self._problems)
        others = [entry for entry in others if not (entry.name.startswith(b".") or entry.name in JUNK)]
        self._shelf = Shelf([one for one in others if one.name[one.name.rfind(b".") :].lower() in _BESIDE], self.rules)
        if only is not None:
            files, others = ([one for one in some if _on_the_way(one.path, only)] for some in (files, others))
        folders = self._folders(others)
        if self.rules:
            files = [one for one in files if not self.rules.ignores(os.fsdecode(one.path), folder=False)]
            folders = [one for one in folders if not self.rules.ignores(os.fsdecode(one.path), folder=True)]
        self._files = files
        return sorted(folders, key=_PATH)

    def _media(self, entries: list[os.DirEntry[bytes]]) -> tuple[list[os.DirEntry[bytes]], list[os.DirEntry[bytes]]]:
        """Part the media files from all else; what is done here is done for each of very many files."""
        files, others = [], []
        for entry in entries:
            name = entry.name
            suffix = name[name.rfind(b".") :]
            try:
                if (suffix in _MEDIA or suffix.lower() in _MEDIA) and name[0] != _DOT and entry.is_file():
                    files.append(entry)
                else:
                    others.append(entry)
            except OSError as error:
                self._trouble(entry.path, error)
        return files, others

    def _folders(self, others: list[os.DirEntry[bytes]]) -> list[os.DirEntry[bytes]]:
        folders = []
        for entry in others:
            try:
                if entry.is_dir():
                    folders.append(entry)
                elif entry.is_symlink():
                    os.stat(entry.path)  # noqa: PTH116 - tells a link to nothing from a link to something else
            except OSError as error:
                self._trouble(entry.path, error)
        return folders

    def seen(self) -> list[Seen]:
        """Look at each file that was kept, once."""
        found: list[Seen] = []
        shelf = self._shelf or None
        for file in self._files:
            try:
                status = file.stat()
            except FileNotFoundError:
                continue  # deleted since the folder was listed
            except OSError as error:
                self._trouble(file.path, error)
                continue
            mark = ""
            if shelf is not None:
                paths, mark = shelf.of(os.fsdecode(file.name))
                if paths:
                    self.sidecars[file.path] = paths
            found.append((file.path, status.st_size, status.st_mtime_ns, mark))
        found.sort(key=itemgetter(0))
        return found

    def _trouble(self, raw: bytes, error: OSError) -> None:
        self._problems(Path(os.fsdecode(raw)), reason_of(error))


_IGNORE_FILE = os.fsencode(IGNORE_FILE)


def _with_slash(raw: bytes) -> bytes:
    return raw.rstrip(b"/") + b"/"


def _on_the_way(path: bytes, within: bytes) -> bool:
    return path == within or within.startswith(path + b"/") or path.startswith(within + b"/")
