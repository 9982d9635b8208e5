"""Exact search; what a file holds is compared without FAISS, whose import takes longer than a small collection."""

import struct
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from retrieval.config import IndexSpec
from retrieval.store.nearest import FEW, Allowed
from retrieval.types import FloatMatrix, Keys, Matches

_SINGLE = 4
"""Up to so many queries are compared by NumPy; FAISS keeps the best of many without writing all scores down."""
_HEAD = struct.Struct("<4siqqq?i")
_KINDS = (b"IxM2", b"IxFI")
_INNER_PRODUCT = 0
_UNUSED = 1 << 20
_COUNT = struct.Struct("<Q")


def faiss_module() -> Any:  # noqa: ANN401 - its stubs do not know what its Python layer accepts
    """Import FAISS when it is first needed."""
    import faiss

    return faiss


class Miscounted(Exception):
    """Other than as many vectors came as were announced: some of the catalog are damaged."""


class Flat:
    """Exact search by inner product over all vectors.

    The vectors lie in an array as they came from the file, or, once some are added or removed, in FAISS's
    ``IndexFlatIP`` under ``IndexIDMap2``.
    """

    def __init__(self, dim: int, chosen: bool = False) -> None:
        self.dim, self.spec = dim, IndexSpec(chosen=chosen)
        self._codes: Any = None
        self._stored: FloatMatrix = np.empty((0, dim), np.float32)
        self._put(np.empty(0, np.int64))

    @classmethod
    def holding(cls, keys: Keys, vectors: FloatMatrix) -> "Flat":
        """Return an index of vectors ``(n, dim) float32`` under keys ``(n,)`` in any order; the array is kept."""
        found = cls(vectors.shape[1])
        found._stored = vectors
        found._put(keys)
        return found

    @classmethod
    def filled(cls, dim: int, count: int, blocks: Iterable[tuple[Keys, FloatMatrix]], chosen: bool = False) -> "Flat":
        """Return an index of what ``blocks`` of keys and vectors hold, in all at most ``count``.

        Room for all is taken once: FAISS doubles its own, and would hold everything twice now and then.
        """
        keys, vectors = np.empty(count, np.int64), np.empty((count, dim), np.float32)
        held = 0
        for some, rows in blocks:
            keys[held : held + len(some)], vectors[held : held + len(some)] = some, rows
            held += len(some)
        found = cls.holding(keys[:held], vectors[:held])
        found.spec = IndexSpec(chosen=chosen)
        return found

    @classmethod
    def adopting(cls, codes: Any) -> "Flat":  # noqa: ANN401 - a FAISS index
        """Return an index over FAISS's ``IndexFlatIP`` under ``IndexIDMap2``, which it keeps."""
        found = cls(codes.d)
        found._codes = codes
        found._sync()
        return found

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def few(self) -> int:
        """Up to so many selected vectors are compared one by one."""
        return FEW

    @property
    def total(self) -> int:
        """The number of vectors."""
        return len(self)

    @property
    def keys(self) -> Keys:
        """All keys, ascending."""
        return self._keys

    @property
    def codes(self) -> Any:  # noqa: ANN401 - a FAISS index
        """The index as FAISS holds it."""
        if self._codes is None:
            faiss = faiss_module()
            codes = faiss.IndexIDMap2(faiss.IndexFlatIP(self.dim))
            if len(self):
                codes.add_with_ids(np.ascontiguousarray(self._stored), np.ascontiguousarray(self._placed))
            self._codes, self._stored = codes, np.empty((0, self.dim), np.float32)
        return self._codes

    def write(self, sink: Callable[[bytes | memoryview], None]) -> None:
        """Hand on, piece by piece, what ``faiss.write_index`` would write of the index."""
        if self._codes is not None:
            faiss = faiss_module()
            faiss.write_index(self._codes, faiss.PyCallbackIOWriter(sink))
            return
        write_flat(sink, self.dim, len(self), [(self._placed, self._stored)])

    def add(self, keys: Keys, vectors: FloatMatrix) -> None:
        """Take in vectors, ``(n, dim) float32``."""
        if len(keys):
            self.codes.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(keys, np.int64))
            self._sync()

    def remove(self, keys: Keys) -> None:
        """Let go of vectors; keys that are not there do not matter."""
        held = np.ascontiguousarray(keys[np.isin(keys, self._keys)])
        if len(held):
            self.codes.remove_ids(held)
            self._sync()

    def rows(self, keys: Keys) -> FloatMatrix:
        """Return the vectors of keys, all of which are there, ``(n, dim) float32``.

        Raises:
            KeyError: one is not there.
        """
        places = np.searchsorted(self._keys, keys)
        if len(keys) and (not len(self) or (self._keys[np.minimum(places, len(self) - 1)] != keys).any()):
            raise KeyError("a key that the index does not hold")
        picked: FloatMatrix = self._everything()[self._places[places]]
        return picked

    def candidates(self, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
        """Return the k best of each query, ``(q, k)``, best first, -1 where there are no more."""
        if len(queries) <= _SINGLE and len(self):
            return self._compared(queries, k, allowed)
        if allowed is None:
            scores, keys = self.codes.search(queries, k)
        else:
            faiss = faiss_module()
            selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
            scores, keys = self.codes.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return Matches(keys, scores)

    def _compared(self, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
        scores = queries @ self._everything().T
        if allowed is not None:
            may = np.zeros(len(self), bool)
            within = self._placed < len(allowed)
            may[within] = allowed[self._placed[within]]
            scores[:, ~may] = -np.inf
        width = min(k, len(self))
        best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable"), 1)
        found = np.take_along_axis(scores, best, 1)
        matches = Matches(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32))
        matches.keys[:, :width] = np.where(np.isneginf(found), -1, self._placed[best])
        matches.scores[:, :width] = found
        return matches

    def _everything(self) -> FloatMatrix:
        """Return all vectors as they lie in memory: no copy, and only good while nothing is added or removed."""
        if self._codes is None or not len(self):
            return self._stored
        faiss = faiss_module()
        flat = faiss.downcast_index(self._codes.index)
        pointed: FloatMatrix = faiss.rev_swig_ptr(flat.get_xb(), len(self) * self.dim).reshape(-1, self.dim)
        return pointed

    def _sync(self) -> None:
        self._put(faiss_module().vector_to_array(self.codes.id_map))

    def _put(self, placed: Keys) -> None:
        """Note which key stands where; removal moves vectors to other places, and only their keys stay."""
        self._placed = placed
        rising = len(placed) < 2 or bool((placed[1:] > placed[:-1]).all())
        self._places: NDArray[np.int64] = np.arange(len(placed)) if rising else np.argsort(placed, kind="stable")
        self._keys: Keys = placed[self._places]


def write_flat(
    sink: Callable[[bytes | memoryview], None], dim: int, count: int, blocks: Iterable[tuple[Keys, FloatMatrix]]
) -> None:
    """Hand on what ``read_flat`` reads, of ``count`` vectors that come in blocks with their keys; only keys are held.

    Raises:
        Miscounted: there were more or fewer.
    """
    for kind in _KINDS:
        sink(_HEAD.pack(kind, dim, count, _UNUSED, _UNUSED, True, _INNER_PRODUCT))
    sink(_COUNT.pack(count * dim))
    placed = [np.empty(0, np.int64)]
    for keys, rows in blocks:
        placed.append(keys)
        if rows.size:
            sink(np.ascontiguousarray(rows).data.cast("B"))
    everything = np.concatenate(placed)
    if len(everything) != count:
        raise Miscounted
    sink(_COUNT.pack(count))
    if count:
        sink(everything.data.cast("B"))


def read_flat(file: BinaryIO, dim: int, count: int) -> Flat | None:
    """Read what FAISS wrote of an ``IndexFlatIP`` under an ``IndexIDMap2``; ``None`` if this is anything else.

    The file is left wherever the reading ended.
    """
    for kind in _KINDS:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        name, width, held, *_unused, trained, metric = _HEAD.unpack(head)
        if (name, width, held, trained, metric) != (kind, dim, count, True, _INNER_PRODUCT):
            return None
    vectors = _array(file, np.dtype(np.float32), count * dim)
    keys = _array(file, np.dtype(np.int64), count) if vectors is not None else None
    return None if vectors is None or keys is None else Flat.holding(keys, vectors.reshape(count, dim))


def _array(file: BinaryIO, dtype: "np.dtype[Any]", count: int) -> "NDArray[Any] | None":
    size = file.read(_COUNT.size)
    if len(size) < _COUNT.size or _COUNT.unpack(size)[0] != count:
        return None
    found = np.empty(count, dtype)
    read: int = file.readinto(found.data.cast("B"))  # type: ignore[attr-defined]
    return found if read == found.nbytes else None
