"""Which of many vectors lie near to one another: pairs above a threshold, in time that grows little faster than them.

FAISS does the comparing: inverted lists (Sivic and Zisserman, *Video Google*, 2003) once comparing all takes long.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.types import FloatMatrix

# The stubs that come with it do not know what its Python layer accepts.
faiss: Any = _faiss


class NearPairs(NamedTuple):
    """Pairs of rows and the inner product of each, ``(p,)``; of two rows of one matrix the lower comes first, once."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    score: NDArray[np.float32]


class Rows(Protocol):
    """Rows that are read when they are needed, so that not all need to be in memory as they are."""

    dim: int

    def __len__(self) -> int:
        """Return how many there are."""

    def read(self, first: int, last: int) -> FloatMatrix:
        """Return rows ``first`` to ``last``, the last one not included, ``(last - first, dim) float32``."""


_EXACT_UP_TO = 1.5e11
"""Multiplications up to which all pairs are compared: some seconds."""
_ASKED_AT_ONCE = 2048
_READ_AT_ONCE = 8192
_PROBED = 8
_TRAINED_ON = 32
_ROUNDS = 5
_SHORT = 128
"""Up to this length rows are kept in single precision: it is quicker, and takes no more room than long ones do."""


def near_pairs(
    rows: Rows,
    least: float,
    most: int,
    asking: Rows | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NearPairs:
    """Return pairs of rows whose inner product is at least ``least``: of each row those with its nearest ``most``.

    With ``asking``, pairs are of a row of ``asking`` with one of ``rows``. Few rows are all compared; many are parted
    into cells (FAISS ``IndexIVF``, half precision, as stored vectors have it), and a row meets those of the eight cells
    nearest to it, so that the time grows little faster than the number of rows. For rows of length 1 that are very near
    to one another little is lost. Interrupted between blocks.
    """
    asks = rows if asking is None else asking
    none = NearPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    if not len(rows) or not len(asks):
        return none
    index = _indexed(rows, len(asks))
    count = min(len(rows), most + (asking is None))
    found = []
    for first in range(0, len(asks), _ASKED_AT_ONCE):
        last = min(len(asks), first + _ASKED_AT_ONCE)
        scores, places = index.search(np.ascontiguousarray(asks.read(first, last), np.float32), count)
        row, column = np.nonzero((scores >= least) & (places >= 0))
        found.append((row + first, places[row, column], scores[row, column]))
        progress(last, len(asks))
    one, other, score = (np.concatenate(column) for column in zip(*found, strict=True))
    if asking is not None:
        return NearPairs(one, other, score)
    low, high = np.minimum(one, other), np.maximum(one, other)
    _, kept = np.unique(low * len(rows) + high, return_index=True)
    kept = kept[low[kept] < high[kept]]
    return NearPairs(low[kept], high[kept], score[kept])


def _indexed(rows: Rows, asked: int) -> Any:  # noqa: ANN401 - FAISS has no types
    """Return an index of all rows by their places: flat where comparing all is quick, else of cells."""
    if float(len(rows)) * asked * rows.dim <= _EXACT_UP_TO:
        index = faiss.IndexFlatIP(rows.dim)
    else:
        cells = int(2.5 * len(rows) ** 0.5)
        index = _in_cells(rows.dim, cells)
        index.cp.niter, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = _ROUNDS, _TRAINED_ON, 1
        index.nprobe = _PROBED
        index.train(_sampled(rows, cells * _TRAINED_ON))
    for first in range(0, len(rows), _READ_AT_ONCE):
        index.add(np.ascontiguousarray(rows.read(first, min(len(rows), first + _READ_AT_ONCE)), np.float32))
    return index


def _in_cells(dim: int, cells: int) -> Any:  # noqa: ANN401 - FAISS has no types
    coarse, metric = faiss.IndexFlatIP(dim), faiss.METRIC_INNER_PRODUCT
    if dim <= _SHORT:
        return faiss.IndexIVFFlat(coarse, dim, cells, metric)
    return faiss.IndexIVFScalarQuantizer(coarse, dim, cells, faiss.ScalarQuantizer.QT_fp16, metric, False)


def _sampled(rows: Rows, most: int) -> FloatMatrix:
    """Return rows from all over, in runs of 32: at most ``most``."""
    runs = np.arange(0, len(rows), 32)
    if len(rows) > most:
        runs = runs[np.linspace(0, len(runs) - 1, max(1, most // 32)).astype(np.int64)]
    sampled: FloatMatrix = np.concatenate([rows.read(int(at), min(len(rows), int(at) + 32)) for at in runs])
    return sampled
