"""Queries that ask for nothing in particular, put to a collection: what a query is compared with (``ranking.null``).

For a single text these are the words and phrases of ``background.txt``. For any other form, each part is replaced: a
text by one of these phrases, a picture by a picture of the collection, which is then not its own answer, and a clip by
one that strays from such a picture as the clip's frames stray from their mean. Weights stay.

Vectors of the phrases are kept in the user's cache, by model; so is what the single phrases reach in a collection,
until it has grown or shrunk by about a tenth.
"""

import hashlib
import json
import math
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding.kept import kept, label_cache
from retrieval.embedding.prompts import embed_prompted
from retrieval.ranking import Embedded, mix
from retrieval.ranking.null import Null, excess, rank_of_null
from retrieval.types import FloatMatrix, Keys, Where

if TYPE_CHECKING:
    from retrieval.embedding import Embedder
    from retrieval.store import Collection

SAMPLE = 1000
"""Items whose scores stand for those at large."""
_DRAWN = 300
_PROBES = 1200
_DEEP = 32
_STEP = math.log(1.1)
_SEED = 5


@cache
def phrases() -> tuple[str, ...]:
    """Return the words and phrases that stand for what people look for."""
    lines = Path(__file__).with_name("background.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


class Background:
    """Makes null models of one collection; what it made last is remembered. Safe to use from many threads."""

    def __init__(self, collection: "Collection", embedder: "Embedder") -> None:
        self._collection, self._embedder = collection, embedder
        self._lock = threading.Lock()
        self._vectors: dict[tuple[str, ...], FloatMatrix] = {}
        self._of_texts: tuple[str, Null] | None = None

    def null(self, parts: Sequence[Embedded], prompt: Sequence[str], where: Where | None) -> Null:
        """Return what queries of this form reach among the items that a filter leaves.

        Raises:
            KeyError: an item was removed by another process between two looks.
            ModelError: the model cannot be run.
        """
        if len(parts) > 1 or parts[0].modality != "text":
            return self._of_form(parts, prompt, where)
        if where is not None:
            return Null(self._reached(self._phrases(prompt), where))
        name = self._name(prompt)
        with self._lock:
            known = self._of_texts
        if known is None or known[0] != name:
            shape = (1, len(phrases()))
            values = kept(
                label_cache(), name, shape, lambda: self._reached(self._phrases(prompt), None)[None].astype(np.float32)
            )
            known = (name, Null(np.sort(values[0].astype(np.float64))))
            with self._lock:
                self._of_texts = known
        return known[1]

    def _name(self, prompt: Sequence[str]) -> str:
        """Return under which name the null of single texts is kept; another one once the collection changed by much."""
        lineage, newest = self._collection.growth()
        counts = (self._collection.count(), newest)
        size = [round(math.log(count + 1) / _STEP) for count in counts]
        return _digest(self._embedder, ["null", lineage, str(self._collection.folder), size, list(prompt)])

    def _phrases(self, prompt: Sequence[str]) -> FloatMatrix:
        """Return the vectors of the phrases, ``(q, dim) float32``."""
        key = tuple(prompt)
        with self._lock:
            found = self._vectors.get(key)
        if found is None:
            texts = phrases()
            name = _digest(self._embedder, ["phrases", list(prompt)])
            shape = (len(texts), self._embedder.dim)
            found = kept(label_cache(), name, shape, lambda: embed_prompted(self._embedder, texts, prompt)[0])
            with self._lock:
                self._vectors[key] = found
        return found

    def _reached(self, probes: FloatMatrix, where: Where | None) -> NDArray[np.float64]:
        """Return the excess of the best hit of each probe, ascending."""
        scores = self._collection.search(probes, 1, where).scores[:, 0].astype(np.float64)
        sample = self._collection.sample(SAMPLE, where)
        return np.sort(excess(scores, probes.astype(np.float64) @ sample.mean(axis=0, dtype=np.float64)))

    def _of_form(self, parts: Sequence[Embedded], prompt: Sequence[str], where: Where | None) -> Null:
        """Draw queries of a form, and return what they reach."""
        rng = np.random.default_rng(_SEED)
        pictures = any(part.modality != "text" for part in parts)
        keys = self._collection.keys(where) if pictures else np.empty(0, np.int64)
        most = max(1, min(_DRAWN, _PROBES // max(len(mix(parts).probes), 1)))
        count = min(most, len(keys)) if pictures else most
        columns = [self._drawn(part, count, rng, prompt, keys) for part in parts]
        mixed, own = [], []
        for row in range(count):
            some = [part._replace(vectors=vectors[row]) for part, (vectors, _) in zip(parts, columns, strict=True)]
            try:
                mixed.append(mix(some).probes)
            except ValueError:  # these parts cancel one another out
                continue
            own.append({int(drawn[row]) for _, drawn in columns if len(drawn)})
        return Null(self._best_of_others(mixed, own, where, rank_of_null(len(keys)) if pictures else 1))

    def _drawn(
        self, part: Embedded, count: int, rng: np.random.Generator, prompt: Sequence[str], keys: Keys
    ) -> tuple[NDArray[np.float32], Keys]:
        """Return ``count`` parts of this kind, ``(count, rows, dim)``, and the items they are, if they are any."""
        if part.modality == "text":
            bank = self._phrases(prompt)
            return bank[rng.choice(len(bank), count, replace=len(bank) < count)][:, None], np.empty(0, np.int64)
        drawn = rng.choice(keys, count, replace=False)
        strays = part.vectors - part.vectors.mean(axis=0)
        rows = self._collection.vectors(drawn)[:, None] + strays[None]
        return (rows / np.linalg.norm(rows, axis=2, keepdims=True)).astype(np.float32), drawn

    def _best_of_others(
        self, queries: Sequence[FloatMatrix], own: Sequence[set[int]], where: Where | None, rank: int
    ) -> NDArray[np.float64]:
        """Return the excess of the file at a rank, for each query; files of its own items do not count. Ascending."""
        if not queries:
            return np.empty(0)
        probes = np.concatenate(queries)
        ends = np.cumsum([0, *(len(one) for one in queries)])
        matches = self._collection.search(probes, min(_DEEP, self._collection.count(where)), where)
        file_of = self._files(np.unique(np.concatenate([matches.keys.ravel(), *(list(some) for some in own if some)])))
        sample = self._collection.sample(SAMPLE, where)
        values = []
        for query, mine, start, end in zip(queries, own, ends[:-1], ends[1:], strict=True):
            away = {file_of[key] for key in mine}
            best: dict[int, float] = {}
            scores = matches.scores[start:end].ravel().tolist()
            for key, score in zip(matches.keys[start:end].ravel().tolist(), scores, strict=True):
                if key in file_of and file_of[key] not in away:
                    best[file_of[key]] = max(score, best.get(file_of[key], -1.0))
            if best:
                found = sorted(best.values(), reverse=True)[:rank][-1]
                mean = float((sample @ query.T).max(axis=1).mean(dtype=np.float64))
                values.append(float(excess(np.array(found), mean)))
        return np.sort(np.array(values))

    def _files(self, keys: NDArray[np.int64]) -> dict[int, int]:
        keys = keys[keys >= 0].astype(np.int64)
        return {row.key: row.file_id for row in self._collection.items(keys)}


def _digest(embedder: "Embedder", what: Sequence[object]) -> str:
    told = json.dumps([embedder.spec.fingerprint(), list(phrases()), *what], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
