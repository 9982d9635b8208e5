"""Which folders a run looks at, which of them are there, and what is found in them."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

from indexer.ignore import IGNORE_FILE, is_junk, rules_for
from indexer.plan import Rest
from indexer.scan import Listing, scan, walk
from retrieval.errors import RetrievalError
from retrieval.media.suffixes import MEDIA_SUFFIXES
from retrieval.messages import _
from retrieval.store import Collection, FileRecord, Source, paths
from retrieval.store.gathered import Gathered
from retrieval.store.records import Standing
from retrieval.store.standing import Census

MANY = 1000
"""From so many entries on it pays to tell apart those that are like no other file."""


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
class Findings(Rest):
    """What the walks found, less what they found just as the catalog has it: of that ``same`` counts the files.

    ``records`` are those the walks should have met. ``entries`` are kept on the disk until ``close``, each under the
    number of the root in ``roots`` whose walk came to it first.
    """

    collection: Collection
    entries: Gathered = field(default_factory=Gathered)
    records: list[FileRecord] = field(default_factory=list)
    same: int = 0
    roots: list[Root] = field(default_factory=list)
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

    def elsewhere(self, sizes: Sequence[int]) -> Iterable[FileRecord]:
        """Return the records of these sizes in bytes that are not among ``records``."""
        known = {record.id for record in self.records}
        return (record for record in self.collection.records_of_sizes(sizes) if record.id not in known)

    def worth_telling(self) -> list[tuple[Path, str]]:
        """Return the problems without links to nothing that neither look like media nor had any below them."""
        links = {path for path in self.problems if path.is_symlink() and path.suffix.lower() not in MEDIA_SUFFIXES}
        links = {path for path in links if not self.collection.holds(path)}
        return [(path, reason) for path, reason in self.problems.items() if path not in links]

    def keep(self, root: Root, exclude: Sequence[str] | None) -> Iterator[None]:
        """Walk a root and keep everything, step by step; without ``exclude`` nothing is there, and records are all."""
        known = {record.id for record in self.records}
        self.records.extend(one for one in self.collection.records_within(root.top) if one.id not in known)
        if exclude is not None:
            for entry in scan(root.path, exclude, self.problems.__setitem__, within=root.within):
                self.entries.add(entry, self._number(root))
                yield

    def compare(self, root: Root, exclude: Sequence[str]) -> Iterator[None]:
        """Walk a folder and keep what is not as the catalog has it, step by step."""
        census = self.collection.census()
        for listing in walk(root.path, exclude, self.problems.__setitem__):
            known = _standing(census, listing)
            if listing.files == known:
                self.same += len(known)
            else:
                as_known, as_found = set(known), set(listing.files)
                for file in listing.files:
                    if file not in as_known:
                        self.entries.add(listing.entry(file), self._number(root))
                self.records.extend(self.collection.records_at(one[0] for one in known if one not in as_found))
                self.same += len(as_known & as_found)
            yield

    def tell_apart(self, digest: Callable[[Path], bytes]) -> None:
        """Find out which entries have nothing to do with any other file, so that nobody need compare them again.

        It is worth its time where there are many, as when a source is new. ``digest`` gives that of a file's content.
        """
        if len(self.entries) < MANY:
            return
        known = any(self.collection.sources_with_files())
        others = self.elsewhere(self.entries.sizes()) if known else ()
        sizes = {record.size_bytes for record in (*self.records, *others)}
        self.entries.tell_apart((record.raw for record in self.records), sizes, digest)

    def close(self) -> None:
        """Let go of the entries; safe to call twice."""
        self.entries.close()

    def _number(self, root: Root) -> int:
        if not self.roots or self.roots[-1] is not root:
            self.roots.append(root)
        return len(self.roots) - 1


def _standing(census: Census, listing: Listing) -> list[Standing]:
    """Return how the files of a folder stand, and those below it in folders that the walk does not list."""
    found: list[Standing] = []
    first, end = paths.inside(listing.stem)
    for below in sorted(map(paths.inside, listing.folders)):
        found += census.between(first, below[0])
        first = below[1]
    return found + census.between(first, end)


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
    roots: Sequence[Root], collection: Collection, exclude: Sequence[str], stop: Callable[[], bool], *, whole: bool
) -> Findings | None:
    """Walk the roots in turn; return ``None`` when ``stop()`` became true on the way.

    What is found just as the catalog has it is counted and not kept, unless the findings must be ``whole``.

    Raises:
        RetrievalError: a given path does not exist and nothing is known of it.
    """
    found = Findings(collection)
    with ExitStack() as undo:
        undo.callback(found.close)
        if not _looked(roots, found, exclude, stop, whole=whole):
            return None
        undo.pop_all()
    return found


def _looked(
    roots: Sequence[Root], found: Findings, exclude: Sequence[str], stop: Callable[[], bool], *, whole: bool
) -> bool:
    """Walk the roots in turn; return whether that came to its end."""
    collection = found.collection
    holding = collection.sources_with_files()
    whole = whole or any(is_inside(one.top, other.top) for one, other in permutations(roots, 2))
    for root in roots:
        if not _is_there(root, root.source_id in holding, collection):
            if root.source_id is None:
                raise _no_such(root)
            found.offline.append(root)
            continue
        found.online.append(root)
        is_there = os.path.lexists(root.top)  # else a part of a source was deleted: what is known of it is gone
        if not is_there and not collection.holds(root.top):
            raise _no_such(root)
        if whole or root.within is not None or not root.path.is_dir():
            walked = found.keep(root, exclude if is_there else None)
        else:
            walked = found.compare(root, exclude)
        if any(stop() for _step in walked):
            return False
    return True


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


def _is_there(root: Root, holds_records: bool, collection: Collection) -> bool:
    """Return whether a source is online. Missing is offline; so is empty, when files are known in it.

    A drive that is not mounted leaves an empty folder behind, or none. A source that is one file counts as deleted, not
    as offline, when the folder it was in holds other things.
    """
    try:
        if root.path.is_dir():
            return not holds_records or _holds_anything(root.path)
        if root.path.exists():
            return True
        return collection.find_file(root.path) is not None and _holds_anything(root.path.parent)
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
