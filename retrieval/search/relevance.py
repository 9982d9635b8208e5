"""The relevance cut of a search: looks at a query in a collection, and leaves out what it does not ask for."""

import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.config import SearchOptions
from retrieval.messages import N_
from retrieval.ranking import best_scores
from retrieval.ranking.cut import BEST, DEPTH, FEWEST, NEAREST, look
from retrieval.search.found import Found
from retrieval.search.look import Order
from retrieval.search.statistics import Statistics, read_statistics
from retrieval.search.verdicts import Compared, Judged, Verdict
from retrieval.types import Cutting, FloatMatrix, Keys, Where

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.reading import ReadQuery
    from retrieval.search.background import Background
    from retrieval.store import Collection

_NOT_THERE = -1.0
FEW = N_("--cut auto cannot tell with fewer than {count} pictures or moments to choose from; nothing is left out")

Best = Callable[[int], list[Found]]
"""Gives the first n hits of a query in order, or all there are."""
Keep = Callable[[list[Found]], list[Found]]
"""Returns the first of some hits in order, as many as are kept."""


class Kept:
    """The hits of a query that a cut leaves: the first of the order, up to where it ends.

    ``cutting`` is what the cut came to, ``None`` where none could be made; ``notes`` then say why.
    """

    def __init__(self, best: Best, cutting: Cutting | None, keep: Keep, note: str = "") -> None:
        """Let ``keep`` choose from what ``best`` gives."""
        self._best, self._keep = best, keep
        self.cutting = cutting
        self.notes = (note,) if note else ()

    def best(self, need: int) -> list[Found]:
        """Return the first ``need`` of the hits that are kept, or all there are."""
        return self._keep(self._best(need))


class Relevance:
    """Tells relevant hits from others in one collection; safe to use from many threads."""

    def __init__(self, collection: "Collection", embedder: "Embedder") -> None:
        """Use the statistics that come with the model, or else make some; both when they are first needed."""
        self._collection, self._embedder = collection, embedder
        self._background: Background | None = None
        self._lock = threading.Lock()
        self._read = False
        self._statistics: Statistics | None = None

    def cut(self, options: SearchOptions, query: "ReadQuery | None", order: Order, where: Where | None) -> Kept:
        """Cut the hits of a query, which ``order`` gives, where they end.

        Raises:
            ModelError: the statistics of the model are damaged.
            KeyError: an item was removed by another process between two looks.
        """
        cut = options.cut
        first = order.best(1) if cut.kind != "none" else []
        if not first:
            return Kept(order.best, None, list)
        if cut.kind == "score" or query is None:
            return at_score(cut.value, order.best, first[0].score)
        verdict = self.verdict(options, query, order, where)
        if isinstance(verdict, str):
            return Kept(order.best, None, list, verdict)

        def keep(found: list[Found]) -> list[Found]:
            count, chances = verdict.kept(np.array([one.score for one in found]), cut.value)
            return [
                one._replace(probability=chance) for one, chance in zip(found[:count], chances.tolist(), strict=False)
            ]

        cutting = Cutting(bool(keep(first)), cut.value, first[0].score, verdict.chance, verdict.p_value)
        return Kept(order.best, cutting, keep)

    def verdict(self, options: SearchOptions, query: "ReadQuery", order: Order, where: Where | None) -> Verdict | str:
        """Look at a query and judge it; a text says why that cannot be done.

        Raises:
            ModelError: the statistics of the model are damaged.
            KeyError: an item was removed by another process between two looks.
        """
        from retrieval.search.background import SAMPLE

        items = self._collection.hits(options.per_video, where)
        best = order.best(BEST)
        if items < FEWEST or not best:
            return FEW.format(count=FEWEST)
        probes = query.mixed.probes
        scores = best_scores(self._collection.sample(SAMPLE, where), probes)
        statistics = self._known()
        kind = _kind(query)
        if statistics is None or kind not in statistics.judges:
            null = self._queries().null(query.embedded, options.prompt, where)
            if not null.can_tell(options.cut.value):
                return FEW.format(count=math.ceil(1.0 / options.cut.value))
            return Compared(null, best[0].score, float(scores.mean()))
        nearest = np.argsort(-best_scores(statistics.bank, probes), kind="stable")[:NEAREST]
        seen = look(
            np.array([one.score for one in best]),
            scores,
            items,
            self._near(statistics.bank[nearest], query.own, options.per_video, where),
            statistics.crowd[nearest],
            statistics.heat,
        )
        judge = statistics.judges[kind]
        return Judged(judge, seen, judge.odds(seen))

    def _queries(self) -> "Background":
        """Return what queries are compared with; imported here, since searches without a cut need none of it."""
        from retrieval.search.background import Background

        with self._lock:
            if self._background is None:
                self._background = Background(self._collection, self._embedder)
            return self._background

    def _known(self) -> Statistics | None:
        with self._lock:
            if not self._read:
                folder = getattr(self._embedder, "folder", None)
                path = getattr(folder, "path", None)
                self._statistics = read_statistics(path, self._embedder.spec) if isinstance(path, Path) else None
                self._read = True
            return self._statistics

    def _near(
        self, pictures: FloatMatrix, own: frozenset[str], per_video: int, where: Where | None
    ) -> NDArray[np.float64]:
        """Return how near the collection comes to each of the pictures ``(b, dim)``: ``(b, DEPTH)``, best first.

        As among the hits, a file counts at most so often, and the files of the query not at all.
        """
        width = min(self._collection.count(where), 2 * DEPTH)
        matches = self._collection.search(pictures, width, where)
        file_of = self._files(np.unique(matches.keys[matches.keys >= 0]), own)
        near = np.full((len(pictures), DEPTH), -np.inf)
        near[:, 0] = _NOT_THERE
        for row, (keys, scores) in enumerate(zip(matches.keys.tolist(), matches.scores.tolist(), strict=True)):
            seen: dict[int, int] = {}
            kept = []
            for key, score in zip(keys, scores, strict=True):
                file = file_of.get(key)
                if file is not None and seen.setdefault(file, 0) < per_video:
                    seen[file] += 1
                    kept.append(score)
            near[row, : len(kept[:DEPTH])] = kept[:DEPTH]
        return near

    def _files(self, keys: Keys, own: frozenset[str]) -> dict[int, int]:
        """Return the file of each item, without the files of the query."""
        rows = self._collection.items(keys)
        return {row.key: row.file_id for row in rows if not (own and os.path.realpath(row.path) in own)}


def at_score(least: float, best: Best, first: float) -> Kept:
    """Keep hits that score ``least`` or more; ``first`` is the score of the best."""

    def keep(found: list[Found]) -> list[Found]:
        return [one for one in found if one.score >= least]

    return Kept(best, Cutting(first >= least, least, first), keep)


def _kind(query: "ReadQuery") -> str:
    """Return which judge a query is for; empty for one whose parts are of no kind that judges were fitted to."""
    if any(part.weight <= 0 for part in query.embedded):
        return ""
    modalities = {part.modality for part in query.embedded}
    return "mixed" if len(modalities) > 1 else next(iter(modalities))
