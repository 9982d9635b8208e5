"""Search of an index's inverted lists without FAISS, whose import takes longer than a query or two.

What FAISS wrote of an ``IndexIVFPQFastScan`` is read here: the centre of each list, and the keys in it. Its codes are
passed over; instead, all vectors of the lists nearest to a query are compared exactly (Sivic and Zisserman, 2003). So
whatever FAISS would find in these lists is found.
"""

import mmap
import struct
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.config import IndexSpec
from retrieval.store.exact import Exact
from retrieval.store.nearest import FEW_OF_MANY, Allowed, best_of, reach_of
from retrieval.types import FloatMatrix, Keys, Matches

SINGLE = 4
"""So many queries are answered sooner without FAISS, at the most."""
_HEAD = struct.Struct("<4siqqq?i")
_SIZE = struct.Struct("<q")
_CODES = struct.Struct("<?qiqiq")
"""Whether codes are of residuals, their length, and how they are laid out."""
_QUANTISER = struct.Struct("<qqq")
_BLOCKS = struct.Struct("<4sqqqq")
_INNER_PRODUCT = 0


class Lists(NamedTuple):
    """Inverted lists: their centres ``(l, dim)``, the keys of all of them one after the other, and where each begins.

    ``starts`` has one place more, the end of the last.
    """

    centres: FloatMatrix
    keys: Keys
    starts: NDArray[np.int64]


class Listed:
    """An ``ivfpq`` index as its file has it; what is added is compared with every query."""

    def __init__(self, spec: IndexSpec, lists: Lists, exact: Exact) -> None:
        """Take over lists of exactly the keys that ``exact`` holds by now, removed ones too."""
        self.spec, self.exact, self.dim = spec, exact, exact.dim
        self._lists = lists

    def __len__(self) -> int:
        return len(self.exact)

    @property
    def few(self) -> int:
        """Up to so many selected vectors are compared one by one."""
        return FEW_OF_MANY

    @property
    def total(self) -> int:
        """How many vectors there are, removed ones too."""
        return len(self.exact.all_keys)

    @property
    def keys(self) -> Keys:
        """All keys that were not removed, ascending."""
        return self.exact.keys

    def add(self, keys: Keys, vectors: FloatMatrix) -> None:
        """Take in vectors, ``(n, dim) float32``; keys are larger than all before."""
        self.exact.append(keys, vectors)

    def remove(self, keys: Keys) -> None:
        """Let go of vectors; keys that are not there do not matter."""
        self.exact.remove(keys)

    def rows(self, keys: Keys) -> FloatMatrix:
        """Return the vectors of keys, all of which are there, ``(n, dim) float32``.

        Raises:
            KeyError: one is not there.
        """
        return self.exact.rows(keys)

    def candidates(self, queries: FloatMatrix, k: int, allowed: Allowed | None) -> Matches:
        """Return the k best of each query, ``(q, k)``, best first with their exact scores, -1 where none is.

        As many lists are looked at as FAISS would look at; where they hold less than there is, more, and at last all.
        """
        may = self._may(allowed)
        there = int(may.sum())
        reach = reach_of(self.spec.probes, k, max(1, there) / max(1, self.total))
        matches = Matches(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32))
        for row, query in enumerate(queries):
            places = self._places(query, may, reach, min(k, there))
            scores = self.exact.products(places, query)
            best = best_of(scores, k)
            matches.keys[row, : len(best)] = self.exact.all_keys[places[best]]
            matches.scores[row, : len(best)] = scores[best]
        return matches

    def _may(self, allowed: Allowed | None) -> NDArray[np.bool_]:
        """Return by place which vectors may be found."""
        if allowed is None:
            return self.exact.alive
        within = self.exact.all_keys < len(allowed)
        within[within] = allowed[self.exact.all_keys[within]]
        return within & self.exact.alive

    def _places(self, query: NDArray[np.float32], may: NDArray[np.bool_], reach: int, least: int) -> NDArray[np.int64]:
        """Return the places, ascending, of what may be found in the nearest lists; ``least`` of them are there."""
        order = np.argsort(self._lists.centres @ -query, kind="stable")
        added = np.arange(len(self._lists.keys), self.total)
        while True:
            keys = [self._lists.keys[self._lists.starts[one] : self._lists.starts[one + 1]] for one in order[:reach]]
            places: NDArray[np.int64] = np.concatenate([np.sort(self.exact.places(np.concatenate(keys))), added])
            places = places[may[places]]
            if len(places) >= least or reach >= len(order):
                return places
            reach *= 4


def beginning_of(dim: int, lists: int) -> int:
    """Return how many bytes the file begins with, all that is read of it but the keys: up to the last centre."""
    return 2 * _HEAD.size + 3 * _SIZE.size + 4 * dim * lists


def read_lists(file: BinaryIO, dim: int, lists: int) -> Lists | None:
    """Read so many lists of vectors of length ``dim`` from what FAISS wrote; ``None`` if this is anything else.

    That may be another kind of index, or the same written by another FAISS. The file is mapped, not read through.
    """
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return _parsed(_Pieces(mapped), dim, lists)
    except (struct.error, ValueError):  # there is less than was expected
        return None


class _Pieces:
    """Numbers and arrays of a file, one after the other."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped, self._at = mapped, 0

    def numbers(self, layout: struct.Struct) -> tuple[Any, ...]:
        self._at += layout.size
        return layout.unpack_from(self._mapped, self._at - layout.size)

    def array(self, dtype: str) -> "NDArray[Any]":
        """Return a copy of an array that stands behind the number of its elements."""
        size = self.passed(np.dtype(dtype).itemsize)
        return np.frombuffer(self._mapped[self._at - size : self._at], dtype)

    def passed(self, each: int = 1) -> int:
        """Pass over an array of elements of so many bytes; return how many bytes it has."""
        size = int(self.numbers(_SIZE)[0]) * each
        if not 0 <= size <= len(self._mapped) - self._at:
            raise ValueError("an array that is longer than the file")
        self._at += size
        return size


def _parsed(pieces: _Pieces, dim: int, lists: int) -> Lists | None:
    """Read as FAISS's ``write_index`` writes: header, coarse quantiser, product quantiser, lists."""
    count = _headed(pieces, b"IwPf", dim)
    if count is None or pieces.numbers(_SIZE)[0] != lists:
        return None
    pieces.numbers(_SIZE)  # how many lists FAISS looks at unless told otherwise
    if _headed(pieces, b"IxFI", dim) != lists:
        return None
    centres = pieces.array("<f4")
    if pieces.numbers(struct.Struct("<b"))[0] or pieces.passed():  # keys by their place in the lists: never kept
        return None
    pieces.numbers(_CODES)
    if pieces.numbers(_QUANTISER)[0] != dim:
        return None
    pieces.passed(4)
    name, held, *_layout = pieces.numbers(_BLOCKS)
    if (name, held) != (b"ilbl", lists):
        return None
    parts = []
    for _number in range(lists):
        parts.append(pieces.array("<i8"))
        pieces.passed()
    starts = np.cumsum([0, *map(len, parts)])
    if starts[-1] != count or centres.size != lists * dim:
        return None
    return Lists(centres.reshape(lists, dim), np.concatenate(parts), starts)


def _headed(pieces: _Pieces, kind: bytes, dim: int) -> int | None:
    """Return how many vectors a trained index of this kind holds; ``None`` if it is another."""
    name, width, held, *_unused, trained, metric = pieces.numbers(_HEAD)
    return int(held) if (name, width, trained, metric) == (kind, dim, True, _INNER_PRODUCT) else None
