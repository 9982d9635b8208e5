"""Finding the groups: copies by their bytes, then pictures and videos by what they look like, and pairs."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.config import DuplicateOptions
from retrieval.duplicates.frames import Frames
from retrieval.duplicates.pairs import find_pairs
from retrieval.duplicates.records import Comparer, Counted, Found, Unit
from retrieval.duplicates.stills import Stills
from retrieval.duplicates.suggesting import Judge, preference, same_bytes
from retrieval.duplicates.videos import Videos
from retrieval.errors import CollectionError, QueryError
from retrieval.messages import _, ngettext
from retrieval.types import Where

if TYPE_CHECKING:
    from retrieval.store import Collection
    from retrieval.store.records import FileFacts

_ATTEMPTS = 5


def find_duplicates(
    collection: "Collection",
    where: Where | None = None,
    options: DuplicateOptions = DuplicateOptions(),  # noqa: B008 - frozen
    progress: Counted = lambda done, total: None,
) -> Found:
    """Return the groups of files that are alike; nothing is written or deleted.

    Files that are gone are left out. What is compared is what the collection knows; the files themselves are only asked
    whether they are still as they were indexed. Memory: some 4 KB an item, and as much again where similar ones count
    (measured with vectors of 512 numbers).

    Raises:
        QueryError: a filter that cannot be understood, or a path below which nothing is indexed.
        ModelMismatch: the collection was meanwhile embedded anew.
    """
    for _attempt in range(_ATTEMPTS):
        try:
            return _found(collection, where, options, progress)
        except KeyError:  # an item was removed by another process between two looks
            continue
    raise CollectionError(_("the collection changes faster than it can be read; try again"))


def _found(collection: "Collection", where: Where | None, options: DuplicateOptions, progress: Counted) -> Found:
    files = _below(collection.facts(where), options.below)
    units = _units(files)
    found, unseen = _alike(collection, where, units, options, progress)
    pairs = find_pairs(files)
    judge = Judge(pairs, options.collapse_pairs)
    groups = [judge.group(members, compare) for members, compare in found]
    if options.collapse_pairs:
        groups = judge.without_partners(groups)
    else:
        groups += [judge.pair(pair) for pair in pairs]
    if options.across_videos:
        groups += [judge.frames(one) for one in Frames(collection, where, files).shown(progress)]
    groups.sort(key=lambda group: os.fsencode(group.members[0].file.path))
    return Found(tuple(groups), _notes(unseen))


def _alike(
    collection: "Collection",
    where: Where | None,
    units: Sequence[Unit],
    options: DuplicateOptions,
    progress: Counted,
) -> "tuple[list[tuple[list[FileFacts], Comparer]], int]":
    """Return the groups, each with what compares its files, and how many pictures could not be looked at."""
    if options.level == "exact":
        return [(list(unit.files), same_bytes) for unit in units if len(unit.files) > 1], 0
    similar = options.level == "similar"
    looks = collection.item_looks(where)
    stills = Stills(collection, [unit for unit in units if unit.first.kind == "image"], looks, similar)
    videos = Videos(collection, [unit for unit in units if unit.first.kind == "video"], similar)
    total = stills.work + videos.work
    found: list[tuple[list[FileFacts], Comparer]] = [
        (group, stills.compare) for group in stills.groups(lambda done, _: progress(done, total))
    ]
    done_before = stills.work
    found += [(group, videos.compare) for group in videos.groups(lambda done, _: progress(done_before + done, total))]
    return found, stills.unseen


def _below(files: "list[FileFacts]", below: Sequence[Path]) -> "list[FileFacts]":
    """Return the files that are one of these paths, or in one of these folders.

    Raises:
        QueryError: there are none of a path.
    """
    if not below:
        return files
    for path in below:
        if not any(file.path.is_relative_to(path) for file in files):
            raise QueryError(
                _("nothing of {path} is indexed; index it first: sightseek index {path}").format(path=path)
            )
    return [file for file in files if any(file.path.is_relative_to(path) for path in below)]


def _units(files: "Sequence[FileFacts]") -> list[Unit]:
    """Return the files by their bytes; a file whose digest is not known stands alone."""
    same: dict[object, list[FileFacts]] = defaultdict(list)
    for file in files:
        same[file.digest if file.digest is not None else file.id].append(file)
    return [Unit(tuple(sorted(alike, key=preference))) for alike in same.values()]


def _notes(unseen: int) -> tuple[str, ...]:
    if not unseen:
        return ()
    text = ngettext(
        "{count:,} file was indexed before looks were kept, and compared by its bytes alone; run: sightseek index",
        "{count:,} files were indexed before looks were kept, and compared by their bytes alone; run: sightseek index",
        unseen,
    )
    return (text.format(count=unseen),)
