"""What to do about a group: which file to keep, which could be spared, which to look at. Nothing is done."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from retrieval.config import Level
from retrieval.duplicates.pairs import Pair
from retrieval.duplicates.records import Comparer, Group, Member, Relation, Suggestion
from retrieval.messages import N_
from retrieval.store.records import FileFacts

_LOOSER: tuple[Relation, ...] = ("exact", "identical", "similar")
_BETTER = (
    N_("on a source that is there"),
    N_("most pixels"),
    N_("tells most of when, where and what"),
    N_("has a video or raw file beside it"),
    N_("largest file"),
    N_("oldest"),
    N_("first by name"),
)
SAME_BYTES = N_("the same bytes as the one to keep")
SAME_LOOK = N_("looks the same as the one to keep, which is as good or better")
SIMILAR = N_("alike, as far as the model sees")
LARGER = N_("looks the same, but is the larger file")
PLAY = N_("looks the same at almost all times; play both")
TELLS_MORE = N_("tells more of when, where and what than the one to keep")
PARTNER = N_("a video or raw file beside it is not beside the one to keep")
SAME_FILE = N_("the same file as the one to keep, under another name")
GONE = N_("not to be found just now")
CHANGED = N_("changed since it was indexed")
KEPT_GONE = N_("the one to keep is not to be found just now")
KEPT_CHANGED = N_("the one to keep changed since it was indexed")
TAKEN_TOGETHER = N_("taken together")
SHOWS_IT = N_("shows the pictures")
SHOWN = N_("the video shows it")


class Shown(NamedTuple):
    """A video, and the pictures that it shows: each with when, in seconds, and how near the model finds the frame."""

    video: FileFacts
    pictures: tuple[tuple[FileFacts, float, float], ...]


def preference(file: FileFacts, partners: int = 0) -> tuple[bool, int, int, int, int, int, bytes]:
    """Return what files of a group are ordered by, the one to keep first; in the order of the reasons given."""
    return (
        file.offline,
        -file.width * file.height,
        -file.told,
        -partners,
        -file.size_bytes,
        file.mtime_ns,
        os.fsencode(file.path),
    )


def same_bytes(kept: FileFacts, others: Sequence[FileFacts]) -> list[tuple[Level, float]]:
    """Compare files that are known to be of the same bytes."""
    return [("exact", 1.0) for _ in others]


class Judge:
    """Turns files that are alike into groups with suggestions.

    A file is only called spare when it was itself compared with the one to keep and both are on disk as they were
    indexed, as two files, and when no metadata and no partner would go with it.
    """

    def __init__(self, pairs: Iterable[Pair], collapsed: bool) -> None:
        self._partners: dict[Path, tuple[FileFacts, ...]] = {}
        self._mains: dict[Path, FileFacts] = {}
        for main, partners in pairs:
            self._partners[main.path] = partners
            self._mains.update((partner.path, main) for partner in partners)
        self._collapsed = collapsed

    def group(self, files: Sequence[FileFacts], compare: Comparer) -> Group:
        """Return the group of some files, the one to keep first, then by suggestion and path."""
        ranked = sorted(files, key=self._preference)
        kept, others = ranked[0], ranked[1:]
        state = _state(kept)
        compared = compare(kept, others)
        members = [
            self._member(kept, state, file, level, similarity)
            for file, (level, similarity) in zip(others, compared, strict=True)
        ]
        members.sort(key=lambda one: (one.suggestion != "spare", os.fsencode(one.file.path)))
        level = max((one.level for one in members), key=_LOOSER.index)
        first = Member(kept, level, 1.0, "keep", self._better(ranked), beside=self._beside(kept))
        return Group(level, (first, *members))

    def pair(self, pair: Pair) -> Group:
        """Return a photo and what was taken with it; both are to be kept."""
        return Group(
            "pair", tuple(Member(file, "pair", None, "keep", TAKEN_TOGETHER) for file in (pair.main, *pair.partners))
        )

    def frames(self, shown: Shown) -> Group:
        """Return a video and the pictures that it shows."""
        first = Member(shown.video, "frame", None, "keep", SHOWS_IT)
        pictures = (Member(file, "frame", near, "look", SHOWN, at_s) for file, at_s, near in shown.pictures)
        return Group("frame", (first, *pictures))

    def without_partners(self, groups: Sequence[Group]) -> list[Group]:
        """Return the groups but for those of files that belong to the files of one other group."""
        of_file = {one.file.path: place for place, group in enumerate(groups) for one in group.members}
        kept = []
        for group in groups:
            mains = [self._mains.get(one.file.path) for one in group.members]
            homes = {None if main is None else of_file.get(main.path) for main in mains}
            if len(homes) > 1 or None in homes:
                kept.append(group)
        return kept

    def _member(
        self, kept: FileFacts, state: tuple[str, os.stat_result | None], file: FileFacts, level: Level, near: float
    ) -> Member:
        suggestion, reason = self._suggested(kept, state, file, level)
        return Member(file, level, near, suggestion, reason, beside=self._beside(file))

    def _suggested(
        self, kept: FileFacts, state: tuple[str, os.stat_result | None], file: FileFacts, level: Level
    ) -> tuple[Suggestion, str]:
        why, stat = _state(file)
        if state[0]:
            return "look", KEPT_CHANGED if state[0] == CHANGED else KEPT_GONE
        if why:
            return "look", why
        assert stat is not None
        assert state[1] is not None
        if os.path.samestat(stat, state[1]):
            return "look", SAME_FILE
        if file.told > kept.told:
            return "look", TELLS_MORE
        if self._would_part(file, kept):
            return "look", PARTNER
        if level == "exact":
            return "spare", SAME_BYTES
        if level == "similar":
            return "look", SIMILAR
        if file.kind == "video":
            return "look", PLAY
        return ("look", LARGER) if file.size_bytes > kept.size_bytes else ("spare", SAME_LOOK)

    def _would_part(self, file: FileFacts, kept: FileFacts) -> bool:
        """Return whether what belongs to a file is missing beside the one to keep; where pairs count as one, its bytes.

        Raw files are not indexed, so that nobody knows whether two hold the same.
        """
        mine, theirs = (self._partners.get(one.path, ()) for one in (file, kept))
        if not self._collapsed:
            return bool(mine) and not theirs
        known = {partner.digest for partner in theirs}
        return any(partner.digest is None or partner.digest not in known for partner in mine)

    def _preference(self, file: FileFacts) -> tuple[bool, int, int, int, int, int, bytes]:
        return preference(file, len(self._partners.get(file.path, ())))

    def _better(self, ranked: Sequence[FileFacts]) -> str:
        """Return in what the first file is ahead of the second."""
        first, second = (self._preference(file) for file in ranked[:2])
        ahead = next(place for place, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
        return _BETTER[ahead]

    def _beside(self, file: FileFacts) -> tuple[str, ...]:
        if not self._collapsed:
            return ()
        return tuple(os.fspath(partner.path) for partner in self._partners.get(file.path, ()))


def _state(file: FileFacts) -> tuple[str, os.stat_result | None]:
    """Return what speaks against trusting what is known of a file, and what the disk says of it."""
    try:
        found = file.path.stat()
    except OSError:
        return GONE, None
    changed = (found.st_size, found.st_mtime_ns) != (file.size_bytes, file.mtime_ns)
    return (CHANGED if changed else ""), found
