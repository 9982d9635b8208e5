"""What an approximate index learns from the vectors it is to hold, read block by block.

Memory is that of what is learned and of a block, however many vectors there are.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from retrieval.store.exact import Exact
from retrieval.types import FloatMatrix

BLOCK = 256
"""So many vectors are looked at together: a megabyte or two with all that is computed of them."""
_ROUNDS = 8
_SETTLED = 30
_SPREAD = 0.4
"""How far levels begin towards equal steps, away from equal shares: where both would have to move the least."""
_SEED = 1234

Places = NDArray[np.int64]


def blocks(places: Places, size: int = BLOCK) -> Iterator[Places]:
    """Yield places in parts of at most ``size``, in their order."""
    for at in range(0, len(places), size):
        yield places[at : at + size]


def centres(vectors: Exact, places: Places, count: int) -> FloatMatrix:
    """Return so many centres of the vectors at ``places``, ``(count, dim) float32``, rows of length 1.

    That is spherical k-means (Dhillon and Modha, "Concept decompositions", 2001) from vectors drawn at random; a centre
    that is nearest to none is drawn again.
    """
    rng = np.random.default_rng(_SEED)
    found = vectors.at(np.sort(rng.choice(places, count, replace=False)))
    for _round in range(_ROUNDS):
        sums, sizes = np.zeros_like(found), np.zeros(count, np.int64)
        for block in blocks(places):
            rows = vectors.at(block)
            nearest = nearest_centres(found, rows)
            order = np.argsort(nearest, kind="stable")
            chosen, starts = np.unique(nearest[order], return_index=True)
            sums[chosen] += np.add.reduceat(rows[order], starts, axis=0)
            sizes += np.bincount(nearest, minlength=count)
        lost = np.flatnonzero(sizes == 0)
        sums[lost] = vectors.at(rng.choice(places, len(lost)))
        found = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return found


def nearest_centres(found: FloatMatrix, rows: FloatMatrix) -> NDArray[np.int64]:
    """Return which centre has the greatest inner product with each of the rows, ``(n,)``."""
    nearest: NDArray[np.int64] = (rows @ found.T).argmax(axis=1)
    return nearest


def list_by_list(vectors: Exact, found: FloatMatrix) -> Iterator[Places]:
    """Yield all places in blocks of whole lists: those whose vectors are nearest to a centre, then to the next one.

    Lists that are filled at once leave no gaps in memory, as those that grow in turn do.
    """
    order, ends = _by_list(vectors, found)
    begun = 0
    for end, after in zip(ends, [*ends[1:], np.inf], strict=True):
        if after - begun > BLOCK and end > begun:
            yield from blocks(order[begun:end])
            begun = end


def _by_list(vectors: Exact, found: FloatMatrix) -> tuple[Places, Places]:
    """Return all places by the centre their vectors are nearest to, and where those of each centre end."""
    parts = [
        nearest_centres(found, vectors.at(block)).astype(np.int32) for block in blocks(np.arange(len(vectors.all_keys)))
    ]
    nearest = np.concatenate(parts)
    return np.argsort(nearest, kind="stable"), np.cumsum(np.bincount(nearest, minlength=len(found)))


def levels(rows: FloatMatrix, count: int) -> FloatMatrix:
    """Return the values that stand for each dimension of the rows, ``(dim, count) float32``, ascending.

    They are those of a Lloyd-Max quantiser (Lloyd, 1982; Max, 1960), computed on sorted values, where a step takes
    a few look-ups.
    """
    ordered = np.sort(rows, axis=0).T
    return np.stack([_levels(np.ascontiguousarray(values), count) for values in ordered])


def _levels(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the levels of one dimension's values, which are ascending."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    share = (np.arange(count) + 0.5) / count
    equal_shares = values[(share * len(values)).astype(np.int64)]
    found = (1 - _SPREAD) * equal_shares + _SPREAD * (values[0] + share * (values[-1] - values[0]))
    for _round in range(_SETTLED):
        inner = np.searchsorted(values, (found[1:] + found[:-1]) / 2)
        edges = np.concatenate([[0], inner, [len(values)]])
        sizes = np.diff(edges)
        found = np.where(sizes, np.diff(sums[edges]) / np.maximum(sizes, 1), found)
    settled: NDArray[np.float32] = found.astype(np.float32)
    return settled


def extremes(vectors: Exact, places: Places) -> FloatMatrix:
    """Return the least and the greatest value of each dimension at ``places``, ``(2, dim) float32``."""
    ranges = [(part.min(axis=0), part.max(axis=0)) for part in map(vectors.halves, blocks(places))]
    least, greatest = zip(*ranges, strict=True)
    return np.stack([np.min(least, axis=0), np.max(greatest, axis=0)]).astype(np.float32)
