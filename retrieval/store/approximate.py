"""Approximate indexes: FAISS proposes candidates from short codes, exact vectors decide among them.

``ivfpq``: inverted lists (Sivic and Zisserman, 2003) of 4-bit product-quantised residuals, compared in registers
(Jegou et al., 2011; Andre et al., "Quicker ADC", 2019). ``rabitq``: the same lists with one bit a number (Gao and Long,
"RaBitQ", SIGMOD 2024). ``hnsw``: a navigable graph over 8-bit codes (Malkov and Yashunin, 2018).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.config import IndexKind, IndexSpec
from retrieval.store import freed, learned
from retrieval.store.exact import Exact
from retrieval.store.nearest import FEW_OF_MANY, reach_of
from retrieval.types import FloatMatrix, Keys, Matches

faiss: Any = _faiss

Allowed = NDArray[np.bool_]

POINTS_A_LIST = 40
"""Training vectors for each list: FAISS asks for 39."""
MOST_LISTS = 4096
MOST_TRAINED = 120_000
_FOR_CODES = 4096
"""Of these vectors so many are looked at for the codes: FAISS takes no more for 16 values."""
FEW = FEW_OF_MANY
LINKS = 32
_GRAPH_BLOCK = 16_384
"""So many vectors are added to a graph together: each time, FAISS makes a lock for every node."""
_LEAST_NODES = 96
"""A walk of a graph keeps so many nodes in view: fewer suffice for what it was tuned by, not for other queries."""
_ASKED = 8
"""So many queries are asked together while an index is tuned: FAISS keeps tables for each."""
_SEED = 1234


class Approximate:
    """Candidates from codes, scored again by the vectors themselves; removed keys are masked, never moved.

    ``spec.probes`` lists (or graph nodes) are looked at and ``spec.candidates`` vectors compared exactly.
    """

    def __init__(self, spec: IndexSpec, codes: Any, exact: Exact) -> None:  # noqa: ANN401 - a FAISS index
        self.spec, self.exact, self.dim = spec, exact, exact.dim
        self.codes = codes
        self._masked: Allowed | None = None

    def __len__(self) -> int:
        return len(self.exact)

    @property
    def few(self) -> int:
        """Up to so many selected vectors are compared one by one rather than through the codes.

        A graph whose nodes may mostly not be found leads nowhere, so for it that is a fifth of all.
        """
        return max(FEW, self.total // 5) if self.spec.kind == "hnsw" else FEW

    @property
    def total(self) -> int:
        """How many vectors the codes hold, removed ones too."""
        return int(self.codes.ntotal)

    @property
    def keys(self) -> Keys:
        """All keys that were not removed, ascending."""
        return self.exact.keys

    def add(self, keys: Keys, vectors: FloatMatrix) -> None:
        """Take in vectors, ``(n, dim) float32``; keys are larger than all before."""
        if len(keys):
            self.exact.append(keys, vectors)
            self.codes.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(keys, np.int64))
            self._masked = None

    def remove(self, keys: Keys) -> None:
        """Let go of vectors; keys that are not there do not matter."""
        self.exact.remove(keys)
        self._masked = None

    def rows(self, keys: Keys) -> FloatMatrix:
        """Return the vectors of keys, all of which are there, ``(n, dim) float32``.

        Raises:
            KeyError: one is not there.
        """
        return self.exact.rows(keys)

    def candidates(self, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
        """Return about the k best of each query, ``(q, k)``, best first with their exact scores, -1 where none is.

        Where less is found than there is, more lists or nodes are looked at, and at last everything.
        """
        mask = self._mask(allowed)
        there = self.total if mask is None else int(mask.sum())
        # A graph's codes of 8 bits hardly err: it need not propose as many again as are asked for.
        least = k if self.spec.kind == "hnsw" else 2 * k
        wanted = min(self.total, max(least, k + self.spec.candidates))
        reach = self._reach(k, max(1, there) / max(1, self.total))
        proposed = self._proposed(queries, mask, reach, wanted)
        while (proposed >= 0).sum(axis=1).min(initial=wanted) < min(k, there):
            if reach >= self._most:
                everything = self.exact.keys if mask is None else np.flatnonzero(mask)
                proposed = np.broadcast_to(everything, (len(queries), len(everything)))
                break
            reach = min(self._most, 4 * reach)
            proposed = self._proposed(queries, mask, reach, wanted)
        matches = Matches(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32))
        for row, (query, keys) in enumerate(zip(queries, proposed, strict=True)):
            held = keys[keys >= 0]
            if len(held):
                scores, best = compared(self.exact.halves(self.exact.places(held)), query, min(k, len(held)))
                matches.keys[row, : len(best)] = held[best]
                matches.scores[row, : len(best)] = scores
        return matches

    def _mask(self, allowed: Allowed | None) -> Allowed | None:
        """Return what may be found, without what was removed; ``None`` when all may."""
        if allowed is None and len(self.exact) == self.total:
            return None
        if self._masked is None:
            alive = self.exact.keys
            self._masked = np.zeros(int(self.exact.all_keys[-1]) + 1 if len(self.exact.all_keys) else 1, bool)
            self._masked[alive] = True
        if allowed is None:
            return self._masked
        both = self._masked[: len(allowed)].copy()
        both &= allowed[: len(both)]
        return both

    def _reach(self, k: int, share: float) -> int:
        """How many lists or nodes to look at for k neighbours among a share of the vectors."""
        return max(1, min(self._most, reach_of(self.spec.probes, k, share)))

    @property
    def _most(self) -> int:
        """All lists, or all nodes."""
        return self.total if self.spec.kind == "hnsw" else self.spec.lists

    def _proposed(self, queries: FloatMatrix, mask: Allowed | None, reach: int, wanted: int) -> Keys:
        """Return what the codes propose, ``(q, wanted)``, -1 where there is no more."""
        selector = None if mask is None else faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        found: Keys = self.codes.search(queries, wanted, params=self.parameters(reach, wanted, selector))[1]
        return found

    def parameters(self, reach: int, wanted: int = 1, selector: Any = None) -> Any:  # noqa: ANN401 - FAISS has no types
        """Return what FAISS is told beside queries: so many lists or nodes are looked at, of what may be found."""
        if self.spec.kind == "hnsw":
            return faiss.SearchParametersHNSW(sel=selector, efSearch=max(reach, wanted, _LEAST_NODES))
        kind = faiss.IVFRaBitQSearchParameters if self.spec.kind == "rabitq" else faiss.SearchParametersIVF
        return kind(sel=selector, nprobe=reach)


def compared(
    halves: NDArray[np.float16], query: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the scores of the k best of the vectors ``(n, dim)``, best first, and where they stand.

    FAISS compares half precision as it is; NumPy would turn it into single precision first, which takes ten times as
    long as comparing. One thread compares: waking others for so little takes longer, most of all when many ask.
    """
    index = faiss.IndexScalarQuantizer(halves.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add_sa_codes(np.ascontiguousarray(halves).view(np.uint8))
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # of the calling thread alone
    try:
        scores, places = index.search(np.ascontiguousarray(query)[None], k)
    finally:
        faiss.omp_set_num_threads(threads)
    return scores[0], places[0]


def lists_for(count: int) -> int:
    """Return how many inverted lists suit so many vectors: a power of two near 2 * sqrt(n)."""
    return int(min(MOST_LISTS, max(16, 2 ** round(math.log2(2 * math.sqrt(max(1, count)))))))


def empty(kind: IndexKind, vectors: Exact, places: NDArray[np.int64], lists: int) -> tuple[IndexSpec, Any]:
    """Return an index without vectors, trained on those at ``places``; a graph has no lists.

    FAISS would be given all of them at once and make copies of its own.
    """
    dim, metric = vectors.dim, faiss.METRIC_INNER_PRODUCT
    if kind == "hnsw":
        graph = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, LINKS, metric)
        graph.hnsw.efConstruction = 80
        graph.train(learned.extremes(vectors, places))  # all it asks of a sample
        return IndexSpec(kind, probes=64), faiss.IndexIDMap2(graph)
    # Half a byte for each number: with a quarter, thousands of candidates must be compared to find what texts ask for.
    codes = f"PQ{dim}x4fs" if kind == "ivfpq" else "RaBitQfs"
    index = faiss.index_factory(dim, f"IVF{lists},{codes}", metric)
    index.quantizer.add(learned.centres(vectors, places, lists))
    some = vectors.at(np.sort(np.random.default_rng(_SEED).permutation(places)[:_FOR_CODES]))
    if kind == "ivfpq":
        levels = learned.levels(some, index.pq.ksub)
        faiss.copy_array_to_vector(levels.ravel(), index.pq.centroids)
        index.is_trained = True
    else:
        index.train(some)
    return IndexSpec(kind, lists=lists, probes=8), index


def ids_of(codes: Any) -> Keys:  # noqa: ANN401 - a FAISS index
    """Return all keys an index holds, ascending."""
    if isinstance(codes, faiss.IndexIDMap2):
        held: Keys = faiss.vector_to_array(codes.id_map).astype(np.int64)
        return np.sort(held)
    inverted = faiss.extract_index_ivf(codes).invlists
    sizes = [inverted.list_size(number) for number in range(inverted.nlist)]
    parts = [faiss.rev_swig_ptr(inverted.get_ids(number), size).copy() for number, size in enumerate(sizes) if size]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def spec_of(codes: Any, told: IndexSpec) -> IndexSpec | None:  # noqa: ANN401 - a FAISS index
    """Return the spec of an index as it was read; ``None`` where it is of no kind that is made here.

    That is ``told`` where it tells of this index. A training that was cut short leaves one it does not tell of, which
    is asked with care.
    """
    lists = int(getattr(codes, "nlist", 0))
    if isinstance(codes, faiss.IndexIDMap2):
        kind: IndexKind = "hnsw"
        if not isinstance(faiss.downcast_index(codes.index), faiss.IndexHNSW):
            return None
    elif isinstance(codes, faiss.IndexIVFPQFastScan):
        kind = "ivfpq"
    elif isinstance(codes, faiss.IndexIVFRaBitQFastScan):
        kind = "rabitq"
    else:
        return None
    if (kind, lists) == (told.kind, told.lists):
        return told
    return IndexSpec(kind, lists, max(64, lists // 8), candidates=1024)


def filling(codes: Any, vectors: Exact) -> Iterator[NDArray[np.int64]]:  # noqa: ANN401 - a FAISS index
    """Yield the places of all vectors in blocks as they are best added: list by list, where there are any."""
    if isinstance(codes, faiss.IndexIDMap2):
        return learned.blocks(np.arange(len(vectors.all_keys)), _GRAPH_BLOCK)
    return learned.list_by_list(vectors, _centres_of(codes))


def left_out(codes: Any, vectors: Exact, keys: Keys) -> float:  # noqa: ANN401 - a FAISS index
    """Return the mean squared distance of vectors from what stands for them: a list's centre, or codes."""
    standing = _standing(codes)
    total = 0.0
    for block in learned.blocks(keys):
        rows = vectors.rows(block)
        total += float(((rows - standing(rows)) ** 2).sum(dtype=np.float64))
    return total / max(1, len(keys))


def _standing(codes: Any) -> Callable[[FloatMatrix], FloatMatrix]:  # noqa: ANN401 - a FAISS index
    if isinstance(codes, faiss.IndexIDMap2):
        kept = faiss.downcast_index(faiss.downcast_index(codes.index).storage)
        return lambda rows: kept.sa_decode(kept.sa_encode(rows))
    centres = _centres_of(codes)
    return lambda rows: centres[learned.nearest_centres(centres, rows)]


def _centres_of(codes: Any) -> FloatMatrix:  # noqa: ANN401 - a FAISS index
    """Return the centres of an index's lists, ``(lists, dim) float32``."""
    found: FloatMatrix = faiss.downcast_index(codes.quantizer).reconstruct_n(0, codes.nlist)
    return found


def nearest_exactly(exact: Exact, queries: FloatMatrix, own: Keys, k: int) -> Keys:
    """Return the keys of the exact k nearest of each query, ``(q, k)``, without its own; read block by block."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    found = np.full((len(queries), k), -1, np.int64)
    for block in learned.blocks(exact.keys):
        scores = queries @ exact.rows(block).T
        scores[own[:, None] == block[None, :]] = -np.inf
        order = _first(scores, k)
        scores = np.concatenate([best, np.take_along_axis(scores, order, 1)], axis=1)
        known = np.concatenate([found, block[order]], axis=1)
        order = _first(scores, k)
        best, found = np.take_along_axis(scores, order, 1), np.take_along_axis(known, order, 1)
    found[~np.isfinite(best)] = -1
    return found


def _first(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the places of the k greatest of each row, or of all where there are fewer, in any order."""
    places: NDArray[np.int64] = np.argpartition(scores, max(0, scores.shape[1] - k), axis=1)[:, -k:]
    return places


def tuned(index: Approximate, groups: list[tuple[FloatMatrix, Keys]], target: float) -> IndexSpec:
    """Return the spec with the cheapest setting that reaches ``target`` on each group of held-out queries.

    A group is queries ``(q, dim)`` of one kind, with the keys ``(q,)`` they were made from and that do not count (-1
    where there is none); its first half chooses the setting, the second half tells ``recall``, the least of the groups.
    What reaches the target nowhere is given the most.
    """
    truth = _Tuner(index, groups)
    chosen: IndexSpec | None = None
    for candidates in (8, 16, 32, 64, 128) if index.spec.kind == "hnsw" else (64, 128, 256, 512, 1024):
        tried = replace(index.spec, candidates=candidates)
        most = truth.most_probes() if chosen is None else min(truth.most_probes(), _cheaper(tried, chosen))
        if most < 1:
            break  # comparing so many alone costs as much as what was found
        freed.give_back()
        probes = truth.fewest(candidates, most, target)
        if probes is not None:
            chosen = replace(tried, probes=probes)
    chosen = chosen or replace(index.spec, probes=truth.most_probes(), candidates=2048)
    return replace(chosen, recall=round(truth.least(chosen.candidates, chosen.probes, tell=True), 4))


def _cost(spec: IndexSpec) -> float:
    """Estimated time of a query in units of one vector compared by its code."""
    return spec.probes * _cost_of_probe(spec) + 30.0 * spec.candidates


def _cost_of_probe(spec: IndexSpec) -> float:
    return spec.trained_on / spec.lists if spec.lists else 60.0


def _cheaper(tried: IndexSpec, found: IndexSpec) -> int:
    """Return the most probes with which the candidates of ``tried`` cost less than ``found``; 0 or less is none."""
    return math.ceil((_cost(found) - _cost(replace(tried, probes=0))) / _cost_of_probe(tried)) - 1


class _Tuner:
    """Recall of settings on two halves of held-out queries, whose right answers are computed once."""

    def __init__(self, index: Approximate, groups: list[tuple[FloatMatrix, Keys]]) -> None:
        self._index = index
        self._halves: list[list[tuple[FloatMatrix, Keys, Keys]]] = [[], []]
        for queries, own in groups:
            truth = nearest_exactly(index.exact, queries, own, 10)
            middle = max(1, len(queries) // 2)
            for half, part in zip(self._halves, (slice(0, middle), slice(len(queries) - middle, None)), strict=True):
                half.append((queries[part], own[part], truth[part]))

    def most_probes(self) -> int:
        spec = self._index.spec
        return 1024 if spec.kind == "hnsw" else max(1, spec.lists)

    def fewest(self, candidates: int, most: int, target: float) -> int | None:
        """Return with how few probes so many candidates reach the target; ``None`` where ``most`` do not suffice.

        Recall rises with the probes. They are doubled until it is reached, since looking at few costs little, and then
        found to a sixteenth.
        """
        if self.least(candidates, most) < target:
            return None
        low, high = 0, 1
        while high < most and self.least(candidates, high) < target:
            low, high = high, min(most, 2 * high)
        while high - low > max(1, high // 16):
            middle = (low + high) // 2
            low, high = (low, middle) if self.least(candidates, middle) >= target else (middle, high)
        return high

    def least(self, candidates: int, probes: int, tell: bool = False) -> float:
        """Return the least recall over the groups, of the half that chooses or of the one that tells."""
        before, self._index.spec = self._index.spec, replace(self._index.spec, candidates=candidates, probes=probes)
        try:
            return min((_share(self._index, *group) for group in self._halves[tell]), default=1.0)
        finally:
            self._index.spec = before


def _share(index: Approximate, queries: FloatMatrix, own: Keys, truth: Keys) -> float:
    """Return the share of the right ten that the index finds, 0-1."""
    parts = [queries[at : at + _ASKED] for at in range(0, len(queries), _ASKED)]
    found = np.concatenate([index.candidates(part, 11, None).keys for part in parts])
    hits = total = 0
    for right, given, mine in zip(truth, found, own, strict=True):
        kept = given[(given != mine) & (given >= 0)][:10]
        wanted = right[right >= 0]
        hits += len(np.intersect1d(kept, wanted))
        total += len(wanted)
    return hits / max(1, total)
