"""A copy of an index on GPUs, which proposes where nothing narrows a search; the exact vectors decide as always.

It needs a build of FAISS for GPUs (``doctor`` gives the command). Exact and inverted-list indexes are FAISS's own
(Johnson et al., Billion-scale similarity search with GPUs, 2017), graphs are CAGRA (Ootomo et al., 2023) where the
build has cuVS. None of this was measured: what is tested is all that runs without a GPU.
"""

from typing import TYPE_CHECKING, Any

import faiss as _faiss
import numpy as np

from retrieval.messages import _
from retrieval.store.nearest import Allowed
from retrieval.types import FloatMatrix, Keys, Matches

if TYPE_CHECKING:
    from retrieval.store.approximate import Approximate
    from retrieval.store.flat import Flat

faiss: Any = _faiss
_BLOCK = 65_536
_A_CODE = 8
"""Dimensions that share a byte: GPUs know no 4-bit codes, and 8 of these are as exact as 16 of those."""
_MOST_CODES = 96
_WIDER = 2
_FRESH = 16_384
_MOST_WANTED = 2048
"""GPUs of FAISS find no more neighbours than so many."""


class Mirror:
    """A copy that answers with places, and the keys that stand there, ascending."""

    def __init__(self, codes: Any, keys: Keys) -> None:  # noqa: ANN401 - a FAISS index
        self.codes, self.keys = codes, keys

    def proposed(self, queries: FloatMatrix, wanted: int) -> Keys:
        """Return the keys of what looks nearest, ``(q, wanted)``, -1 where there is no more."""
        places = self.codes.search(np.ascontiguousarray(queries, np.float32), min(wanted, len(self.keys)))[1]
        found: Keys = np.where(places < 0, -1, self.keys[places])
        return found


class OnGpu:
    """An index whose copy proposes candidates; what was added since is compared one by one.

    Searches that are narrowed go to the index itself: GPUs of FAISS take no bitmap.
    """

    def __init__(self, index: "Flat | Approximate", mirror: Mirror) -> None:
        self.index, self._mirror, self.dim = index, mirror, index.dim

    def __len__(self) -> int:
        return len(self.index)

    @property
    def behind(self) -> bool:
        """Whether so much was added since that a new copy is due."""
        return len(self._fresh) > _FRESH

    @property
    def _fresh(self) -> Keys:
        keys = self.index.keys
        return keys[np.searchsorted(keys, self._mirror.keys[-1], side="right") :]

    @property
    def few(self) -> int:
        """See ``VectorIndex``; so are all below."""
        return self.index.few

    @property
    def total(self) -> int:
        """The number of vectors in its file."""
        return self.index.total

    @property
    def keys(self) -> Keys:
        """All keys, ascending."""
        return self.index.keys

    def add(self, keys: Keys, vectors: FloatMatrix) -> None:
        """Take in vectors."""
        self.index.add(keys, vectors)

    def remove(self, keys: Keys) -> None:
        """Let go of vectors."""
        self.index.remove(keys)

    def rows(self, keys: Keys) -> FloatMatrix:
        """Return the vectors of keys."""
        return self.index.rows(keys)

    def candidates(self, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
        """Return the k best of each query, by the copy where nothing narrows the search."""
        wanted = max(2 * k, k + self.index.spec.candidates)
        if allowed is not None or wanted > _MOST_WANTED:
            return self.index.candidates(queries, k, allowed)
        held, fresh = self.index.keys, self._fresh
        matches = Matches(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32))
        for row, (query, keys) in enumerate(zip(queries, self._mirror.proposed(queries, wanted), strict=True)):
            known = keys[(keys >= 0) & (held[np.minimum(np.searchsorted(held, keys), len(held) - 1)] == keys)]
            known = np.concatenate([known, fresh])
            if len(known) < min(k, len(held)):
                return self.index.candidates(queries, k, allowed)
            scores = self.index.rows(known) @ query
            best = np.argsort(-scores, kind="stable")[:k]
            matches.keys[row, : len(best)], matches.scores[row, : len(best)] = known[best], scores[best]
        return matches


def gpus() -> int:
    """Return how many GPUs the installed FAISS can use."""
    return int(getattr(faiss, "get_num_gpus", lambda: 0)())


def missing() -> str:
    """Return what to say when a GPU is asked for and FAISS has none; empty where it has."""
    return "" if gpus() else _("FAISS has no GPU here, so vectors are compared on the processor; see: sightseek doctor")


def on_gpu(index: "Flat | Approximate") -> OnGpu | None:
    """Return an index with a copy of it on all GPUs; ``None`` where there are none, or nothing to copy."""
    if not gpus() or not len(index):
        return None
    if index.spec.kind == "hnsw" and hasattr(faiss, "GpuIndexCagra"):
        graph = faiss.GpuIndexCagra(faiss.StandardGpuResources(), index.dim, faiss.METRIC_INNER_PRODUCT)
        graph.train(index.rows(index.keys))
        return OnGpu(index, Mirror(graph, index.keys))
    return OnGpu(index, filled(faiss.index_cpu_to_all_gpus(empty(index)), index))


def empty(index: "Flat | Approximate") -> Any:  # noqa: ANN401 - a FAISS index
    """Return an index of a kind that GPUs know, trained for what ``index`` holds, without vectors."""
    if index.spec.kind == "flat":
        return faiss.IndexFlatIP(index.dim)
    lists = index.spec.lists or max(1, int(2 * len(index) ** 0.5))
    count = next(
        count for count in range(min(_MOST_CODES, max(1, index.dim // _A_CODE)), 0, -1) if index.dim % count == 0
    )
    made = faiss.index_factory(index.dim, f"IVF{lists},PQ{count}x8", faiss.METRIC_INNER_PRODUCT)
    sample = np.linspace(0, len(index) - 1, min(len(index), max(256, 40 * lists))).astype(np.int64)
    made.train(index.rows(index.keys[sample]))
    made.nprobe = min(lists, _WIDER * max(1, index.spec.probes))
    return made


def filled(codes: Any, index: "Flat | Approximate") -> Mirror:  # noqa: ANN401 - a FAISS index
    """Add all vectors of an index to another that has none."""
    keys = index.keys
    for at in range(0, len(keys), _BLOCK):
        codes.add(index.rows(keys[at : at + _BLOCK]))
    return Mirror(codes, keys)
