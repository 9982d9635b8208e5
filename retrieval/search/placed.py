"""The hits of a query that is a clip: first the places in videos that it was taken from, then what looks like it."""

from typing import TYPE_CHECKING

from retrieval.ranking import best_scores
from retrieval.ranking.alignment import Aligned, align
from retrieval.search.found import Found
from retrieval.search.look import Look
from retrieval.search.ranked import Ranked
from retrieval.types import FloatMatrix, Matches, Track

if TYPE_CHECKING:
    from retrieval.store import Collection, ItemRow

CANDIDATES, LOOKED_AT = 12, 200
"""How many videos are compared moment by moment: the first among so many of the best hits."""


class Placed:
    """The hits of a clip in their order.

    Videos that look like it are aligned with it by their tracks (see ``ranking.alignment``). The stretches that it
    turns out to show come first, the surest before the others; they say how much faster it is, and their score is that
    of their best frame, as always. Other hits that overlap with them are left out.
    """

    def __init__(self, collection: "Collection", ranked: Ranked, probes: FloatMatrix, excerpt: Track) -> None:
        """Look for the places of ``excerpt``, whose ``probes`` ``(m, dim)`` order the other hits."""
        self._collection, self._ranked, self._probes, self._excerpt = collection, ranked, probes, excerpt
        self._places: list[Found] | None = None
        self.searched, self.notes = ranked.searched, ranked.notes

    def look(self, need: int) -> Look | None:
        """Return what ``best(need)`` will look up first; ``None`` when that is nothing."""
        return self._ranked.look(need if self._places is not None else LOOKED_AT)

    def take(self, matches: Matches) -> None:
        """Take what was found for ``look``, instead of looking it up."""
        self._ranked.take(matches)

    def best(self, need: int) -> list[Found]:
        """Return the best ``need`` hits in order, or all there are.

        Raises:
            KeyError: an item was removed by another process between two looks.
        """
        if self._places is None:
            self._places = self._placed()
        others = self._ranked.best(need + len(self._places) * self._ranked.per_video)
        kept = (one for one in others if not any(_overlap(one, place) for place in self._places))
        return [*self._places, *kept][:need]

    def _placed(self) -> list[Found]:
        rows: dict[int, ItemRow] = {}
        for one in self._ranked.best(LOOKED_AT):
            if one.row.kind == "video":
                rows.setdefault(one.row.file_id, one.row)
        found: list[tuple[float, Found]] = []
        for row in list(rows.values())[:CANDIDATES]:
            track = self._collection.track(row.file_id)
            place = None if track is None else align(self._excerpt, track)
            if place is not None:
                found.append((round(place.apart, 2), self._found(row, place)))
        return [one for _, one in sorted(found, key=lambda one: (one[0], one[1].place))]

    def _found(self, row: "ItemRow", place: Aligned) -> Found:
        frames = self._collection.frames(row.file_id)
        if not len(frames.keys):
            raise KeyError(row.file_id)
        last_s = float(frames.end_s.max())
        place = place._replace(start_s=min(place.start_s, last_s), end_s=min(place.end_s, last_s))
        scores = best_scores(frames.vectors, self._probes)
        inside = (frames.start_s < place.end_s) & (frames.end_s > place.start_s)
        best = int((scores - 2.0 * ~inside).argmax())
        at_s = min(max(float(frames.at_s[best]), place.start_s), place.end_s)
        return Found(
            float(scores[best]), row, int(frames.keys[best]), at_s, place.start_s, place.end_s, speed=place.speed
        )


def _overlap(one: Found, other: Found) -> bool:
    """Return whether two moments are of the same file and have time in common."""
    if one.row.file_id != other.row.file_id or one.start_s is None or other.start_s is None:
        return False
    return one.start_s < (other.end_s or 0.0) and other.start_s < (one.end_s or 0.0)
