"""The end of an index file: whose vectors it holds, as of which generation, and a checksum of all before it."""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from retrieval.messages import _
from retrieval.store.records import Mark

_MAGIC = b"sightsk1"
_FIELDS = struct.Struct("<8s5q")
_CHECKSUM = struct.Struct("<I")
_LENGTH = _FIELDS.size + _CHECKSUM.size
_BLOCK = 1 << 20


class Seal(NamedTuple):
    """Which collection, model and generation an index file is of, and how many vectors of which length it holds."""

    lineage: int
    model_id: int
    generation: int
    vectors: int
    dim: int

    def belongs(self, at: Mark) -> bool:
        """Say whether a file sealed so can be caught up to the catalog's state."""
        same = (self.lineage, self.model_id, self.dim) == (at.lineage, at.model_id, at.dim)
        return same and at.pruned <= self.generation <= at.generation

    def pack(self, checksum: int) -> bytes:
        """Return the seal of a file whose content has this CRC-32."""
        fields = _FIELDS.pack(_MAGIC, *self)
        return fields + _CHECKSUM.pack(zlib.crc32(fields, checksum))


class IndexDamaged(Exception):
    """A file that is not what was written."""


def read(path: Path) -> Seal:
    """Return the seal of an index file without looking at the rest.

    Raises:
        FileNotFoundError: there is no file.
        IndexDamaged: it ends with no seal.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _LENGTH))
        return _unpacked(file.read())[0]


def check(file: BinaryIO) -> Seal:
    """Return the seal of an open index file after comparing the checksum; the file is left at its beginning.

    Raises:
        IndexDamaged: it was cut short or changed.
    """
    left = max(0, file.seek(0, 2) - _LENGTH)
    file.seek(0)
    checksum = 0
    room = memoryview(bytearray(_BLOCK))  # one for all: fresh memory for each takes as long as the checksum
    while left and (size := file.readinto(room[: min(left, _BLOCK)])):  # type: ignore[attr-defined]
        checksum = zlib.crc32(room[:size], checksum)
        left -= size
    tail = file.read()
    seal, expected = _unpacked(tail)
    if zlib.crc32(tail[: _FIELDS.size], checksum) != expected:
        raise IndexDamaged(_("its checksum is wrong"))
    file.seek(0)
    return seal


def _unpacked(tail: bytes) -> tuple[Seal, int]:
    if len(tail) != _LENGTH or not tail.startswith(_MAGIC):
        raise IndexDamaged(_("it was cut short"))
    _magic, *numbers = _FIELDS.unpack(tail[: _FIELDS.size])
    return Seal(*numbers), _CHECKSUM.unpack(tail[_FIELDS.size :])[0]
