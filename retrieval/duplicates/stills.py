"""The pictures of a collection that look identical, or are similar."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Level
from retrieval.duplicates.pictures import Pictures
from retrieval.duplicates.records import Counted, Unit
from retrieval.duplicates.suggesting import preference
from retrieval.ranking.groups import grouped
from retrieval.types import Keys

if TYPE_CHECKING:
    from retrieval.store import Collection
    from retrieval.store.records import FileFacts, ItemLooks

_READ_AT_ONCE = 8192


class Stills:
    """Groups pictures and compares the members of a group; ``unseen`` says of how many nothing is known but bytes."""

    def __init__(self, collection: "Collection", units: Sequence[Unit], looks: "ItemLooks", similar: bool) -> None:
        """Take in the looks of the units' first files; ``similar``: and compare vectors as well."""
        order = np.argsort(looks.file_ids, kind="stable")
        ids = np.array([unit.first.id for unit in units], np.int64)
        at = np.searchsorted(looks.file_ids[order], ids)
        there = np.flatnonzero(at < len(order))
        there = there[looks.file_ids[order[at[there]]] == ids[there]]  # one may have come since the looks were read
        self._collection = collection
        self._units = [units[place] for place in there.tolist()]
        places = order[at[there]]
        self._keys = looks.keys[places]
        sizes = np.array([(unit.first.width, unit.first.height) for unit in self._units], np.int64).reshape(-1, 2)
        vectors = self._read(self._keys) if similar else None
        self._pictures = Pictures(looks.signatures[places], looks.known[places], sizes, vectors)
        self._vectors: dict[int, NDArray[np.float16]] = {}
        self._same: dict[tuple[int, int], bool] = {}
        self._places = {file.id: place for place, unit in enumerate(self._units) for file in unit.files}
        self._similar = similar
        self.unseen = int(len(places) - looks.known[places].sum())

    @property
    def work(self) -> int:
        """How much there is to do, in pictures."""
        return len(self._units) * (2 if self._similar else 1)

    def groups(self, progress: Counted) -> "list[list[FileFacts]]":
        """Return the groups of files, in no particular order within one."""
        pictures = self._pictures
        edges = pictures.edges(progress)
        ranks = [preference(unit.first) for unit in self._units]
        order = np.array(sorted(range(len(ranks)), key=ranks.__getitem__), np.int64)
        stars = grouped(len(self._units), edges, order, pictures.alike)
        alone = np.ones(len(self._units), bool)
        for star in stars:
            alone[star] = False
        self._look_ahead(stars, ranks)
        found = [[file for place in star.tolist() for file in self._units[place].files] for star in stars]
        in_stars = np.concatenate([*stars, np.empty(0, np.int64)])
        vectors = pictures.vectors[in_stars] if pictures.vectors is not None else self._read(self._keys[in_stars])
        self._vectors = dict(zip(in_stars.tolist(), vectors, strict=True))
        return [
            *found,
            *(list(self._units[place].files) for place in np.flatnonzero(alone).tolist() if self._copied(place)),
        ]

    def compare(self, kept: "FileFacts", others: "Sequence[FileFacts]") -> list[tuple[Level, float]]:
        """Return how files of its group are like one of them."""
        centre = self._places[kept.id]
        places = np.array([self._places[file.id] for file in others], np.int64)
        if any((centre, place) not in self._same for place in places.tolist()):
            identical = self._pictures.identical(centre, places).tolist()
        else:
            identical = [self._same[centre, place] for place in places.tolist()]
        found: list[tuple[Level, float]] = []
        for place, same in zip(places.tolist(), identical, strict=True):
            if place == centre:
                found.append(("exact", 1.0))
                continue
            near = float(self._vectors[place].astype(np.float64) @ self._vectors[centre].astype(np.float64))
            found.append(("identical" if same else "similar", min(1.0, near)))
        return found

    def _look_ahead(self, stars: list[Keys], ranks: list[Any]) -> None:
        """Compare the likely one to keep of each group with all its members at once: one by one takes far longer."""
        kept = [min(star.tolist(), key=ranks.__getitem__) for star in stars]
        others = np.concatenate([*stars, np.empty(0, np.int64)])
        one = np.repeat(np.array(kept, np.int64), [len(star) for star in stars])
        same = self._pictures.pairs_identical(one, others)
        self._same = dict(zip(zip(one.tolist(), others.tolist(), strict=True), same.tolist(), strict=True))

    def _copied(self, place: int) -> bool:
        return len(self._units[place].files) > 1

    def _read(self, keys: NDArray[np.int64]) -> NDArray[np.float16]:
        dim = self._collection.manifest.spec.dim
        found = np.empty((len(keys), dim), np.float16)
        for first in range(0, len(keys), _READ_AT_ONCE):
            found[first : first + _READ_AT_ONCE] = self._collection.vectors(keys[first : first + _READ_AT_ONCE])
        return found
