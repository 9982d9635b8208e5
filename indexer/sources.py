"""Which folders a run looks at, which of them are there, and what is found in them."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.ignore import IGNORE_FILE, is_junk, rules_for
from indexer.scan import scan
from retrieval.errors import RetrievalError
from retrieval.media import MEDIA_SUFFIXES
from retrieval.messages import _
from retrieval.store import Entry, FileRecord, Source


@dataclass(frozen=True, slots=True)
class Root:
    """What a run looks at: a source, or what lies ``within`` it; ``source_id`` is ``None`` until it is added."""

    path: Path
    source_id: int | None
    within: Path | None = None

    @property
    def top(self) -> Path:
        """Return the file or folder below which all files are looked at."""
        return self.within or self.path


@dataclass
class Findings:
    """What the walks found: each path once, and by its bytes the root whose walk came to it first."""

    entries: list[Entry] = field(default_factory=list)
    roots: dict[bytes, Root] = field(default_factory=dict)
    problems: dict[Path, str] = field(default_factory=dict)
    online: list[Root] = field(default_factory=list)
    offline: list[Root] = field(default_factory=list)

    def missing(self, record: FileRecord) -> bool:
        """Return whether a file that was not found is gone, rather than out of sight.

        Out of sight is what lies on a source that is offline, below a folder that could not be read, or outside of
        everything that was looked at.
        """
        if any(root.source_id == record.source_id for root in self.offline):
            return False
        if not any(is_inside(record.path, root.top) for root in self.online):
            return False
        return not any(path in self.problems for path in (record.path, *record.path.parents))

    def worth_telling(self, records: Sequence[FileRecord]) -> list[tuple[Path, str]]:
        """Return the problems without links to nothing that neither look like media nor had any below them."""
        links = {path for path in self.problems if path.is_symlink() and path.suffix.lower() not in MEDIA_SUFFIXES}
        if links:
            links -= {path for record in records for path in record.path.parents}
        return [(path, reason) for path, reason in self.problems.items() if path not in links]


def choose_roots(
    known: Sequence[Source], given: Sequence[Path], *, everything: bool, exclude: Sequence[str]
) -> list[Root]:
    """Return the roots of a run, known sources first: all sources, or those that ``given`` names or holds.

    A given path inside a known source is looked at as a part of it when the walk of the source leads there; otherwise
    it becomes a source of its own (it was hidden or ignored, and is wanted all the same).

    Raises:
        OptionError: a pattern of ``exclude`` is not gitignore syntax.
    """
    rules_for("/", exclude)
    if not given or everything:
        roots = [Root(source.path, source.id) for source in known]
    else:
        roots = [
            Root(source.path, source.id) for source in known if any(is_inside(source.path, path) for path in given)
        ]
    for path in given:
        if any(
            is_inside(path, root.top) and (path == root.top or _leads_to(root.path, path, exclude)) for root in roots
        ):
            continue
        holder = next((source for source in known if _leads_to(source.path, path, exclude)), None)
        roots.append(Root(path, None) if holder is None else Root(holder.path, holder.id, path))
    return roots


def absolute(paths: Iterable[Path]) -> list[Path]:
    """Return the paths made absolute, without ``.`` and ``..``, each once; links stay as they are."""
    return list(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))  # noqa: PTH100 (Path.absolute keeps "..")


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether ``path`` is ``folder`` or lies below it, by their names alone."""
    return path == folder or path.is_relative_to(folder)


def look(
    roots: Sequence[Root],
    records: Sequence[FileRecord],
    exclude: Sequence[str],
    stop: Callable[[], bool],
) -> Findings | None:
    """Walk the roots in turn; return ``None`` when ``stop()`` became true on the way.

    Raises:
        RetrievalError: a given path does not exist and nothing is known of it.
    """
    found = Findings()
    holding = {record.source_id for record in records}
    for root in roots:
        if not _is_there(root, root.source_id in holding, records):
            if root.source_id is None:
                raise _no_such(root)
            found.offline.append(root)
            continue
        found.online.append(root)
        if not os.path.lexists(root.top):  # a part of a source was deleted: what is known of it is gone
            if not any(is_inside(record.path, root.top) for record in records):
                raise _no_such(root)
            continue
        for entry in scan(root.path, exclude, found.problems.__setitem__, within=root.within):
            if entry.raw not in found.roots:
                found.roots[entry.raw] = root
                found.entries.append(entry)
            if stop():
                return None
    return found


def _no_such(root: Root) -> RetrievalError:
    return RetrievalError(
        _("{path} does not exist; check the spelling, or connect its drive").format(path=in_one_line(root.top))
    )


def in_one_line(path: Path) -> str:
    """Return the path as a message can hold it, whatever its name is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace("\n", "\\n")


def _leads_to(source: Path, path: Path, exclude: Sequence[str]) -> bool:
    """Return whether a walk of ``source`` comes to ``path``: nothing on the way is hidden, a link, or left out."""
    if path == source or not path.is_relative_to(source):
        return False
    parts = path.relative_to(source).parts
    between = [source.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    if any(is_junk(part) for part in parts) or any(step.is_symlink() for step in between):
        return False
    if path.is_file() and path.suffix.lower() not in MEDIA_SUFFIXES:
        return False
    rules = rules_for(os.fspath(source), exclude)
    for step in between:
        if (step.parent / IGNORE_FILE).is_file():
            rules = rules.deeper(os.fspath(step.parent), lambda path, reason: None)
        if rules.ignores(os.fspath(step), folder=step.is_dir()):
            return False
    return True


def _is_there(root: Root, holds_records: bool, records: Sequence[FileRecord]) -> bool:
    """Return whether a source is online. Missing is offline; so is empty, when files are known in it.

    A drive that is not mounted leaves an empty folder behind, or none. A source that is one file counts as deleted, not
    as offline, when the folder it was in holds other things.
    """
    try:
        if root.path.is_dir():
            return not holds_records or _holds_anything(root.path)
        if root.path.exists():
            return True
        was_file = any(record.path == root.path for record in records)
        return was_file and _holds_anything(root.path.parent)
    except OSError:
        return False


def _holds_anything(folder: Path) -> bool:
    try:
        with os.scandir(folder) as listing:
            return any(not is_junk(entry.name) for entry in listing)
    except PermissionError:
        return True  # it is there, though it may not be read
    except OSError:
        return False
