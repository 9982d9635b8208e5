"""Vector indexes: finding the nearest vectors, and keeping them in a file that says what it holds."""

import zlib
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.config import IndexSpec
from retrieval.messages import _
from retrieval.store import durable, exact, seal
from retrieval.store.approximate import Approximate, ids_of
from retrieval.store.records import Mark
from retrieval.store.seal import IndexDamaged, Seal
from retrieval.types import FloatMatrix, Keys, Matches

# The stubs that come with it do not know what its Python layer accepts.
faiss: Any = _faiss

Allowed = NDArray[np.bool_]
"""``(largest key + 1,) bool``: whether a key may be found; keys beyond its end may not."""


class VectorIndex(Protocol):
    """What a collection asks of an index. Keys are ascending and never used twice."""

    dim: int

    @property
    def few(self) -> int:
        """Up to so many selected vectors are compared one by one rather than through the index's own scan."""

    def __len__(self) -> int:
        """Return the number of vectors."""

    @property
    def total(self) -> int:
        """The number of vectors its file holds, those removed and only masked too."""

    @property
    def keys(self) -> Keys:
        """All keys, ascending."""

    def add(self, keys: Keys, vectors: FloatMatrix) -> None:
        """Take in vectors, ``(n, dim) float32``."""

    def remove(self, keys: Keys) -> None:
        """Let go of vectors; keys that are not there do not matter."""

    def rows(self, keys: Keys) -> FloatMatrix:
        """Return the vectors of keys, all of which are there, ``(n, dim) float32``."""

    def candidates(self, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
        """Return the k best of each query, ``(q, k)``, best first, -1 where there are no more."""


class Flat:
    """Exact search by inner product over all vectors (FAISS ``IndexFlatIP`` under ``IndexIDMap2``)."""

    def __init__(self, dim: int, index: Any = None, chosen: bool = False) -> None:  # noqa: ANN401
        self.dim, self.spec = dim, IndexSpec(chosen=chosen)
        self.codes = faiss.IndexIDMap2(faiss.IndexFlatIP(dim)) if index is None else index
        self._keys: Keys = np.empty(0, np.int64)
        self._sync()

    def __len__(self) -> int:
        return int(self.codes.ntotal)

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
        flat = faiss.downcast_index(self.codes.index)
        if not len(self):
            return np.empty((0, self.dim), np.float32)
        # A view of the index's own memory, read while nothing is added or removed: no copy but of the rows asked for.
        everything = faiss.rev_swig_ptr(flat.get_xb(), len(self) * self.dim).reshape(-1, self.dim)
        picked: FloatMatrix = everything[self._places[places]]
        return picked

    def candidates(self, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
        """Return the k best of each query, ``(q, k)``, best first, -1 where there are no more."""
        if allowed is None:
            scores, keys = self.codes.search(queries, k)
        else:
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
            scores, keys = self.codes.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return Matches(keys, scores)

    def _sync(self) -> None:
        """Note which key stands where; removal moves vectors to other places, and only their keys stay."""
        placed = faiss.vector_to_array(self.codes.id_map)
        self._places = np.argsort(placed, kind="stable")
        self._keys = placed[self._places]


def save(path: Path, index: VectorIndex, at: Mark) -> None:
    """Write an index to its file, sealed with the generation it has; vectors beside it go first.

    Raises:
        CollectionError: it cannot be written; the former file stays.
    """
    if isinstance(index, Approximate):
        index.exact.settle()
    durable.replace(path, lambda file: _write(file, index, at))
    if isinstance(index, Flat):
        path.with_name(exact.FILE).unlink(missing_ok=True)


def _write(file: BinaryIO, index: VectorIndex, at: Mark) -> None:
    """Write the index as FAISS does, followed by a seal that ``faiss.read_index`` does not look at."""
    assert isinstance(index, Flat | Approximate)
    checksum = 0

    def sink(block: bytes) -> None:
        nonlocal checksum
        checksum = zlib.crc32(block, checksum)
        file.write(block)

    faiss.write_index(index.codes, faiss.PyCallbackIOWriter(sink))
    file.write(Seal(at.lineage, at.model_id, at.generation, index.total, index.dim).pack(checksum))


def load(path: Path, at: Mark, spec: IndexSpec) -> tuple[Flat | Approximate, Seal]:
    """Read an index and check it against its seal, and the vectors beside it against both.

    Raises:
        FileNotFoundError: there is no file.
        IndexDamaged: it was cut short or changed, or is of another kind than ``spec`` says.
    """
    with path.open("rb") as file:
        found = seal.check(file)
        try:
            codes = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        except RuntimeError as error:
            raise IndexDamaged(_("it is no FAISS index")) from error
    if codes.ntotal != found.vectors or codes.d != found.dim:
        raise IndexDamaged(_("it holds something else than it says"))
    if isinstance(codes, faiss.IndexIDMap2) and isinstance(faiss.downcast_index(codes.index), faiss.IndexFlat):
        return Flat(found.dim, codes), found
    if spec.kind == "flat" or getattr(codes, "nlist", 0) != spec.lists:
        raise IndexDamaged(_("it is of another kind than the catalog says"))
    try:
        beside = exact.load(path.with_name(exact.FILE), at, found.vectors)
    except FileNotFoundError:
        raise IndexDamaged(_("{name} is missing").format(name=exact.FILE)) from None
    if not np.array_equal(ids_of(codes), beside.all_keys):
        raise IndexDamaged(_("it does not belong to {name}").format(name=exact.FILE))
    return Approximate(spec, codes, beside), found


_EXTRA = 16
_ROUNDING = 4e-6
FEW = 4096
"""Up to so many selected vectors of a flat index are compared one by one rather than through its own scan."""


def nearest(index: VectorIndex, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
    """Return the k best of each query, ordered by score, then by key: the same whatever else is asked beside it.

    The index proposes a few more than k, until those at the edge are clearly worse; the proposed are scored again, row
    by row, in one fixed order of additions. ``allowed`` narrows what may be found.
    """
    keys = index.keys
    if allowed is not None:
        keys = keys[keys < len(allowed)]
        keys = keys[allowed[keys]]
    matches = Matches(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32))
    if not len(keys) or not len(queries):
        return matches
    few = keys if len(keys) <= index.few and allowed is not None else None
    waiting = np.arange(len(queries))
    width = min(len(keys), k + _EXTRA)
    while len(waiting):
        found = (
            _scan(index, few, queries[waiting], width)
            if few is not None
            else index.candidates(queries[waiting], width, allowed)
        )
        slack = _ROUNDING * np.linalg.norm(queries[waiting], axis=1)
        settled = np.full(len(waiting), width == len(keys))
        if width > k:
            settled |= found.scores[:, -1] < found.scores[:, k - 1] - slack
        for row in np.flatnonzero(settled):
            _settle(index, queries[waiting[row]], found.keys[row], matches, int(waiting[row]))
        waiting = waiting[~settled]
        width = min(len(keys), 4 * width)
    return matches


def _scan(index: VectorIndex, keys: Keys, queries: FloatMatrix, width: int) -> Matches:
    scores = queries @ index.rows(keys).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    return Matches(keys[best], np.take_along_axis(scores, best, axis=1))


def _settle(index: VectorIndex, query: NDArray[np.float32], keys: Keys, matches: Matches, row: int) -> None:
    """Write the final order of one query's candidates into its row."""
    keys = keys[keys >= 0]
    scores = np.einsum("kd,d->k", index.rows(keys), query)
    order = np.lexsort((keys, -scores))[: matches.keys.shape[1]]
    matches.keys[row, : len(order)] = keys[order]
    matches.scores[row, : len(order)] = scores[order]
