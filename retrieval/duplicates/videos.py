"""The videos of a collection that show the same from beginning to end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Level
from retrieval.duplicates.pictures import NEIGHBOURS, Halves
from retrieval.duplicates.records import Counted, Unit
from retrieval.duplicates.suggesting import preference
from retrieval.ranking.courses import COURSE_ALIKE, MATCHING, comparable, course, matching
from retrieval.ranking.groups import Edges, grouped
from retrieval.ranking.near import SIMILAR
from retrieval.types import FloatMatrix, Keys, Track

if TYPE_CHECKING:
    from retrieval.store import Collection
    from retrieval.store.records import FileFacts

_MOMENTS = 16


class Videos:
    """Groups videos and compares the members of a group.

    A video without a track is known by its bytes, and where similar ones count by the vectors of its frames.
    Identical: their tracks match at nearly all times (see ``ranking.courses``). Similar: of sixteen moments evenly over
    their lengths, the frames are, on average, as near to one another as similar pictures are.
    """

    def __init__(self, collection: "Collection", units: Sequence[Unit], similar: bool) -> None:
        self._collection, self._units, self._similar = collection, units, similar
        self._places = {file.id: place for place, unit in enumerate(units) for file in unit.files}
        self._tracks = [collection.track(unit.first.id) for unit in units]
        self._lengths = [_length(unit, track) for unit, track in zip(units, self._tracks, strict=True)]
        self._seen: dict[int, FloatMatrix] = {}

    @property
    def work(self) -> int:
        """How much there is to do, in videos."""
        return len(self._units)

    def groups(self, progress: Counted) -> "list[list[FileFacts]]":
        """Return the groups of files, in no particular order within one."""
        edges = self._edges()
        ranks = [preference(unit.first) for unit in self._units]
        order = np.array(sorted(range(len(ranks)), key=ranks.__getitem__), np.int64)
        stars = grouped(len(self._units), edges, order, self._alike)
        progress(self.work, self.work)
        alone = np.ones(len(self._units), bool)
        for star in stars:
            alone[star] = False
        found = [[file for place in star.tolist() for file in self._units[place].files] for star in stars]
        alone_copied = (self._units[place].files for place in np.flatnonzero(alone).tolist())
        return [*found, *(list(files) for files in alone_copied if len(files) > 1)]

    def compare(self, kept: "FileFacts", others: "Sequence[FileFacts]") -> list[tuple[Level, float]]:
        """Return how files of its group are like one of them."""
        centre = self._places[kept.id]
        found: list[tuple[Level, float]] = []
        for file in others:
            place = self._places[file.id]
            if place == centre:
                found.append(("exact", 1.0))
            else:
                near = self._near(centre, place)
                found.append(("identical" if self._identical(centre, place) else "similar", min(1.0, near)))
        return found

    def _edges(self) -> Edges:
        from retrieval.store.neighbours import near_pairs

        pairs = []
        known = [(place, track) for place, track in enumerate(self._tracks) if track is not None and len(track.at_s)]
        if known:
            courses = np.concatenate([course(track, self._lengths[place]) for place, track in known])
            maybe = near_pairs(Halves(courses.astype(np.float16)), COURSE_ALIKE, NEIGHBOURS)
            pairs += [(known[a][0], known[b][0]) for a, b in zip(maybe.one.tolist(), maybe.other.tolist(), strict=True)]
        if self._similar and self._units:
            means = np.stack([_unit(self._frames(place).mean(axis=0)) for place in range(len(self._units))])
            near = near_pairs(Halves(means.astype(np.float16)), SIMILAR, NEIGHBOURS)
            pairs += zip(near.one.tolist(), near.other.tolist(), strict=True)
        kept = [pair for pair in dict.fromkeys(pairs) if self._alike(pair[0], np.array(pair[1:]))[0]]
        both = np.array(kept, np.int64).reshape(-1, 2)
        return Edges(both[:, 0], both[:, 1])

    def _alike(self, centre: int, places: Keys) -> NDArray[np.bool_]:
        return np.array(
            [
                self._identical(centre, place) or (self._similar and self._near(centre, place) >= SIMILAR)
                for place in places.tolist()
            ],
            bool,
        )

    def _identical(self, one: int, other: int) -> bool:
        mine, theirs = self._tracks[one], self._tracks[other]
        if mine is None or theirs is None:
            return False
        return matching(mine, theirs, self._lengths[one], self._lengths[other]) >= MATCHING

    def _near(self, one: int, other: int) -> float:
        """Return the mean cosine of what the two show at the same parts of their lengths; 0 where those differ."""
        if not comparable(self._lengths[one], self._lengths[other]):
            return 0.0
        return float((self._frames(one) * self._frames(other)).sum(axis=1).mean())

    def _frames(self, place: int) -> FloatMatrix:
        """Return the vectors of sixteen moments of a video, ``(16, dim)``."""
        if place not in self._seen:
            frames = self._collection.frames(self._units[place].first.id)
            if not len(frames.keys):
                raise KeyError(self._units[place].first.id)
            times = (np.arange(_MOMENTS) + 0.5) / _MOMENTS * self._lengths[place]
            shown = np.clip(np.searchsorted(frames.start_s, times, side="right") - 1, 0, len(frames.keys) - 1)
            self._seen[place] = frames.vectors[shown]
        return self._seen[place]


def _length(unit: Unit, track: Track | None) -> float:
    """Return how long a video is, in seconds: as its file says, else as far as it was looked at."""
    if unit.first.duration_s:
        return unit.first.duration_s
    return float(track.at_s[-1]) if track is not None and len(track.at_s) else 0.0


def _unit(row: NDArray[np.float32]) -> NDArray[np.float32]:
    length: NDArray[np.float32] = row / max(float(np.linalg.norm(row)), 1e-9)
    return length
