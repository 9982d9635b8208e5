"""A memory-mapped copy of the vectors for exact comparison: derived from the catalog, grown at its end.

The file is a header and blocks of ``BLOCK`` keys and as many float16 vectors; unused places have key 0. A removed
vector stays where it is under its negative key, so that nothing ever moves. Rows are written and synced before their
keys: a key in the file has its vector.
"""

import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CollectionError
from retrieval.messages import _, reason_of
from retrieval.store import durable
from retrieval.store.records import Mark
from retrieval.store.seal import IndexDamaged
from retrieval.types import FloatMatrix, Keys

FILE = "vectors.f16"
BLOCK = 4096
_MAGIC = b"sightsv1"
_HEADER = struct.Struct("<8s3q")
_HEADER_BYTES = 4096
_AT_ONCE = 128
"""Vectors that are compared while they are in the processor's cache."""
_TOO_SMALL = np.float32(2.0**112)
_SIGN_AGAIN = np.int32(0b111 << 28)
"""Bits of single precision's exponent that a sign in front of half precision's number is copied into."""


class Exact:
    """Vectors by key: those of the file, and those added since, which stay in memory until ``flush``.

    ``path`` ``None`` keeps all in memory.
    """

    def __init__(self, dim: int, path: Path | None = None, count: int = 0) -> None:
        """Take the first ``count`` vectors of a file that ``create`` made.

        Raises:
            IndexDamaged: it holds fewer, or something else.
        """
        self.dim, self.path = dim, path
        self._dtype = np.dtype([("keys", "<i8", (BLOCK,)), ("rows", "<f2", (BLOCK, dim))])
        self._stored = count
        self._map: np.memmap[tuple[int, ...], np.dtype[np.void]] | None = None
        self._mapped: NDArray[np.float16] | None = None  # its rows, (blocks, BLOCK, dim), as a plain array
        signed = self._open() if count else np.empty(0, np.int64)
        self.all_keys: Keys = np.abs(signed)
        self.alive: NDArray[np.bool_] = signed > 0
        self._keys: Keys | None = None  # of the living, until one is added or removed
        self._room = np.empty((0, dim), np.float16)  # the tail, and room for it to grow
        self._died: set[int] = set()  # places in the file whose keys are still positive there

    def __len__(self) -> int:
        """Return the number of vectors that were not removed."""
        return len(self.keys)

    @property
    def keys(self) -> Keys:
        """All keys that were not removed, ascending."""
        if self._keys is None:
            self._keys = self.all_keys if self.alive.all() else self.all_keys[self.alive]
        return self._keys

    def append(self, keys: Keys, vectors: FloatMatrix) -> None:
        """Take in vectors ``(n, dim)``; their keys are larger than all before."""
        if len(keys):
            self.all_keys = np.concatenate([self.all_keys, keys])
            self.alive = np.concatenate([self.alive, np.ones(len(keys), bool)])
            self._keys = None
            held = len(self.all_keys) - self._stored
            if held > len(self._room):
                room = np.empty((max(held, 2 * len(self._room)), self.dim), np.float16)
                room[: held - len(keys)] = self._tail[: held - len(keys)]
                self._room = room
            self._room[held - len(keys) : held] = vectors

    @property
    def _tail(self) -> NDArray[np.float16]:
        """The vectors that are not in the file yet."""
        return self._room[: len(self.all_keys) - self._stored]

    def remove(self, keys: Keys) -> None:
        """Let go of vectors; keys that are not there do not matter."""
        held = keys[np.isin(keys, self.all_keys)]
        places = np.searchsorted(self.all_keys, held)
        places = places[self.alive[places]]
        self.alive[places] = False
        self._keys = None
        self._died.update(places[places < self._stored].tolist())

    def rows(self, keys: Keys) -> FloatMatrix:
        """Return the vectors of keys, ``(n, dim) float32``, in their order.

        Raises:
            KeyError: one is not there.
        """
        places = self.places(keys)
        try:  # a place before the first counts from the end, where another key stands
            held = (self.all_keys[places] == keys) & self.alive[places]
        except IndexError:
            held = np.zeros(1, bool)
        if not held.all():
            raise KeyError("a key that the index does not hold")
        return self.at(places)

    def places(self, keys: Keys) -> NDArray[np.int64]:
        """Return where the vectors of keys stand, ``(n,)``; of a key that was never there, anything."""
        if len(self.all_keys) and self.all_keys[-1] - self.all_keys[0] == len(self.all_keys) - 1:
            found: NDArray[np.int64] = keys - self.all_keys[0]  # no key is left out
        else:
            found = np.searchsorted(self.all_keys, keys)
        return found

    def at(self, places: NDArray[np.int64]) -> FloatMatrix:
        """Return the vectors at places ``(n,)`` from the beginning, removed ones too, ``(n, dim) float32``."""
        return self.halves(places).astype(np.float32)

    def halves(self, places: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the vectors at places as they are stored, ``(n, dim)``."""
        stored = places < self._stored
        if self._mapped is not None and stored.all():
            return self._mapped[places // BLOCK, places % BLOCK]
        found = np.empty((len(places), self.dim), np.float16)
        if self._mapped is not None:
            found[stored] = self._mapped[places[stored] // BLOCK, places[stored] % BLOCK]
        found[~stored] = self._tail[places[~stored] - self._stored]
        return found

    def products(self, places: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the inner products of a query ``(dim,)`` and the vectors at places, ``(n,)``.

        NumPy turns half into single precision number by number. Here sign, exponent and fraction are moved to where
        single precision has them, all at once: the number that stands there then is 2**112 times too small.
        """
        scaled = query * _TOO_SMALL
        found = np.empty(len(places), np.float32)
        for at in range(0, len(places), _AT_ONCE):
            bits = self.halves(places[at : at + _AT_ONCE]).view("<i2").astype(np.int32)
            bits <<= 13
            bits &= ~_SIGN_AGAIN
            np.dot(bits.view(np.float32), scaled, out=found[at : at + len(bits)])
        return found

    def flush(self) -> None:
        """Write what was added and removed to the file, so that it lasts.

        Raises:
            CollectionError: it cannot be written; what the file held before is still there.
        """
        if self.path is None or not (len(self._tail) or self._died):
            return
        try:
            self._write()
        except OSError as error:
            raise CollectionError(
                _("cannot write {path}: {reason}; make room, then try again").format(
                    path=self.path, reason=reason_of(error)
                )
            ) from error

    def settle(self) -> None:
        """Write all, and give a file that was made under a temporary name its own.

        Raises:
            CollectionError: it cannot be written.
        """
        self.flush()
        if self.path is not None and self.path.name.endswith(durable.TEMPORARY):
            final = self.path.with_name(self.path.name.removesuffix(durable.TEMPORARY))
            self.path = self.path.rename(final)
            durable.sync_folder(final.parent)

    def _write(self) -> None:
        assert self.path is not None
        total = self._stored + len(self._tail)
        blocks = -(-total // BLOCK)
        with self.path.open("r+b") as file:
            file.truncate(_HEADER_BYTES + blocks * self._dtype.itemsize)
            whole = np.memmap(file, self._dtype, "r+", offset=_HEADER_BYTES, shape=(blocks,))
            for first in range(self._stored, total, BLOCK):
                places = np.arange(first, min(total, first + BLOCK))
                whole["rows"][places // BLOCK, places % BLOCK] = self._tail[places - self._stored]
            whole.flush()
            places = np.arange(self._stored, total)
            signed = np.where(self.alive[places], self.all_keys[places], -self.all_keys[places])
            whole["keys"][places // BLOCK, places % BLOCK] = signed
            died = np.fromiter(sorted(self._died), np.int64)
            whole["keys"][died // BLOCK, died % BLOCK] = -self.all_keys[died]
            whole.flush()
            os.fsync(file.fileno())
        self._stored, self._room, self._died = total, np.empty((0, self.dim), np.float16), set()
        self._map_blocks(blocks)

    def _map_blocks(self, blocks: int) -> None:
        assert self.path is not None
        self._map = np.memmap(self.path, self._dtype, "r", offset=_HEADER_BYTES, shape=(blocks,))
        self._mapped = np.asarray(self._map["rows"])  # each look at a memmap itself costs as much as reading many rows

    def _open(self) -> Keys:
        assert self.path is not None
        blocks = -(-self._stored // BLOCK)
        if self.path.stat().st_size < _HEADER_BYTES + blocks * self._dtype.itemsize:
            raise IndexDamaged(_("{name} was cut short").format(name=self.path.name))
        self._map_blocks(blocks)
        assert self._map is not None
        signed: Keys = np.concatenate([block["keys"] for block in self._map])[: self._stored].astype(np.int64)
        if (np.diff(np.abs(signed)) <= 0).any() or not signed[0]:
            raise IndexDamaged(_("{name} holds something else than it says").format(name=self.path.name))
        return signed


def create(path: Path, at: Mark) -> Exact:
    """Open a new file; it has a temporary name until ``settle``, and what is in its place stays until then.

    Raises:
        CollectionError: it cannot be written.
    """
    temporary = path.with_name(path.name + durable.TEMPORARY)
    durable.replace(temporary, lambda file: file.write(_header(at).ljust(_HEADER_BYTES, b"\0")))
    return Exact(at.dim, temporary)


def load(path: Path, at: Mark, count: int) -> Exact:
    """Open the file of a collection's model with its first ``count`` vectors.

    Raises:
        FileNotFoundError: there is none.
        IndexDamaged: it is another's, was cut short or changed.
    """
    with path.open("rb") as file:
        if file.read(_HEADER.size) != _header(at):
            raise IndexDamaged(_("{name} is another collection's or another model's").format(name=path.name))
    return Exact(at.dim, path, count)


def _header(at: Mark) -> bytes:
    return _HEADER.pack(_MAGIC, at.lineage, at.model_id, at.dim)
