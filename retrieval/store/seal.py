"""The end of an index file: whose vectors it holds, as of which generation, and a checksum of all before it.

Where the file can be read in part, a checksum of its beginning, with what the seal says, stands before the seal.
"""

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
_BEGINS = b"sightsb1"
_BEGINNING = struct.Struct("<8sqI")


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

    @property
    def fields(self) -> bytes:
        """What it says, as it is written."""
        return _FIELDS.pack(_MAGIC, *self)


class IndexDamaged(Exception):
    """A file that is not what was written."""


class Sealing:
    """Writes a file that ends with a seal; its first ``beginning`` bytes, if any, can be checked by themselves."""

    def __init__(self, file: BinaryIO, beginning: int = 0) -> None:
        self._file, self._beginning = file, beginning
        self._written = self._checksum = self._begun = 0

    def write(self, block: bytes | memoryview) -> None:
        """Write a piece of the content."""
        self._checksum = zlib.crc32(block, self._checksum)
        self._begun = zlib.crc32(block[: max(0, self._beginning - self._written)], self._begun)
        self._written += len(block)
        self._file.write(block)

    def end(self, seal: Seal) -> None:
        """Write the seal."""
        if self._beginning:
            self.write(_BEGINNING.pack(_BEGINS, self._beginning, zlib.crc32(seal.fields, self._begun)))
        self._file.write(seal.fields + _CHECKSUM.pack(zlib.crc32(seal.fields, self._checksum)))


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


def check_beginning(file: BinaryIO, length: int) -> Seal:
    """Return the seal of an open index file after comparing the checksum of its first ``length`` bytes.

    A file that has none of so many bytes is compared as a whole. It is left at its beginning.

    Raises:
        IndexDamaged: it was cut short or changed there, or in the seal.
    """
    file.seek(max(0, file.seek(0, 2) - _LENGTH - _BEGINNING.size))
    tail = file.read()
    if len(tail) < _BEGINNING.size:
        raise IndexDamaged(_("it was cut short"))
    name, told, expected = _BEGINNING.unpack(tail[: _BEGINNING.size])
    if (name, told) != (_BEGINS, length):
        return check(file)
    seal = _unpacked(tail[_BEGINNING.size :])[0]
    file.seek(0)
    if zlib.crc32(seal.fields, zlib.crc32(file.read(length))) != expected:
        raise IndexDamaged(_("its checksum is wrong"))
    file.seek(0)
    return seal


def _unpacked(tail: bytes) -> tuple[Seal, int]:
    if len(tail) != _LENGTH or not tail.startswith(_MAGIC):
        raise IndexDamaged(_("it was cut short"))
    _magic, *numbers = _FIELDS.unpack(tail[: _FIELDS.size])
    return Seal(*numbers), _CHECKSUM.unpack(tail[_FIELDS.size :])[0]
