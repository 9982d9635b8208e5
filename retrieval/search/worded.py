"""The hits of a query by the words of files: of their names, folders, titles, descriptions and keywords."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrieval.errors import QueryError
from retrieval.messages import N_, _
from retrieval.ranking.fusion import RECALL, fuse_places
from retrieval.search.found import Found
from retrieval.search.look import Look, Order
from retrieval.search.ranked import Ranked
from retrieval.types import Matches, Part, Where

if TYPE_CHECKING:
    from retrieval.store import Collection, Frames


class ByWords:
    """Files whose words match those of the query, best first by BM25; a video is one hit, from beginning to end.

    Words that are taken away rule a file out. Nothing is embedded and no index of vectors is read.
    """

    def __init__(self, collection: "Collection", parts: Sequence[Part], where: Where | None) -> None:
        """Look for the words among ``parts``, in what a filter leaves.

        Raises:
            QueryError: there are no words to look for.
        """
        self._collection, self._where = collection, where
        self._wanted, self._unwanted = words_among(parts)
        self.searched = collection.count(where)
        self.notes: list[str] = []

    def look(self, need: int) -> Look | None:
        """Return nothing: the index is not needed."""
        return None

    def take(self, matches: Matches) -> None:
        """Do nothing."""

    def best(self, need: int) -> list[Found]:
        """Return the best ``need`` files in order, or all there are.

        Raises:
            KeyError: an item was removed by another process between two looks.
        """
        found = self._collection.find_words(self._wanted, self._unwanted, need, self._where)
        return [self._hit(match.file_id, match.score) for match in found]

    def _hit(self, file_id: int, score: float) -> Found:
        frames = _frames(self._collection, file_id)
        middle = len(frames.keys) // 2
        (row,) = self._collection.items(frames.keys[middle : middle + 1])
        if row.kind == "image":
            return Found(score, row, row.key, None, None, None)
        return Found(score, row, row.key, row.at_s, float(frames.start_s[0]), float(frames.end_s[-1]))


class WithWords:
    """What looks like the query and what is called so, fused by their places in the two lists.

    Both lists go to a fixed depth, so that pages join. Of a video that only its words speak for, the moment that looks
    most like the query is the hit.
    """

    def __init__(
        self, collection: "Collection", parts: Sequence[Part], where: Where | None, visual: Order, moments: Ranked
    ) -> None:
        """Fuse ``visual`` with the files that the words among ``parts`` find; ``moments`` cuts moments from those.

        Raises:
            QueryError: there are no words to look for.
        """
        self._collection, self._where = collection, where
        self._visual, self._moments = visual, moments
        self._wanted, self._unwanted = words_among(parts)
        self.searched = visual.searched
        self.notes: list[str] = []
        self._ordered: list[Found] | None = None

    def look(self, need: int) -> Look | None:
        """Return what the visual list looks up first."""
        return self._visual.look(RECALL)

    def take(self, matches: Matches) -> None:
        """Take what was found for ``look``, instead of looking it up."""
        self._visual.take(matches)

    def best(self, need: int) -> list[Found]:
        """Return the best ``need`` hits in order, or all there are down to the fixed depth.

        Raises:
            KeyError: an item was removed by another process between two looks.
        """
        if self._ordered is None:
            self._ordered = self._fused()
        if len(self._ordered) < need and self.searched > RECALL:
            note = N_("--match both looks no deeper than {count} hits of each kind; --match visual finds more")
            self.notes = [note.format(count=RECALL)]
        return self._ordered[:need]

    def _fused(self) -> list[Found]:
        visual = self._visual.best(RECALL)
        matches = self._collection.find_words(self._wanted, self._unwanted, RECALL, self._where)
        share_of = {match.file_id: match.share for match in matches}
        place_of = {match.file_id: 1 + sum(one.score > match.score for one in matches) for match in matches}
        seen = {hit.row.file_id for hit in visual}
        only_called_so = [hit for match in matches if match.file_id not in seen for hit in self._moment(match.file_id)]
        hits = [*visual, *only_called_so]
        places = np.zeros((len(hits), 2))
        places[: len(visual), 0] = np.arange(1, len(visual) + 1)
        places[:, 1] = [place_of.get(hit.row.file_id, 0) for hit in hits]
        shares = np.ones((len(hits), 2))
        shares[:, 1] = [share_of.get(hit.row.file_id, 0.0) for hit in hits]
        added = fuse_places(places, shares).sum(axis=1)
        found = [hit._replace(score=float(score)) for hit, score in zip(hits, added, strict=True)]
        return sorted(found, key=lambda one: one.place)

    def _moment(self, file_id: int) -> list[Found]:
        return self._moments.hits_of(_frames(self._collection, file_id).keys)[:1]


def words_among(parts: Sequence[Part]) -> tuple[list[str], list[str]]:
    """Return the texts that are looked for, and those that are taken away.

    Raises:
        QueryError: there is no text to look for.
    """
    wanted = [part.value for part in parts if part.kind == "text" and part.weight > 0]
    if not wanted:
        raise QueryError(_("--match words and --match both want words to look for; add some, or use --match visual"))
    return wanted, [part.value for part in parts if part.kind == "text" and part.weight < 0]


def _frames(collection: "Collection", file_id: int) -> "Frames":
    frames = collection.frames(file_id)
    if not len(frames.keys):
        raise KeyError(file_id)
    return frames
