"""The records a collection takes in and gives out; numpy is the only import that weighs anything."""

import os
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.config import IndexSpec, ModelSpec, Sampling
from retrieval.store import paths
from retrieval.types import Details, FloatMatrix, Keys, Kind


class _EntryFields(NamedTuple):
    raw: bytes
    size_bytes: int
    mtime_ns: int
    sidecars: tuple[Path, ...] = ()
    beside: str = ""


class Entry(_EntryFields):
    """A file as a scan found it; ``path`` is absolute.

    ``sidecars`` are the files beside it that speak of it, and ``beside`` is a mark that changes when they do. It holds
    the bytes of the path (``raw``): of most files nothing else is ever asked, and making a ``Path`` takes longer than
    looking at the file.
    """

    __slots__ = ()

    def __new__(
        cls, path: Path | bytes, size_bytes: int, mtime_ns: int, sidecars: tuple[Path, ...] = (), beside: str = ""
    ) -> Self:
        """Take the path, or its bytes."""
        return super().__new__(cls, os.fsencode(path), size_bytes, mtime_ns, sidecars, beside)

    @property
    def path(self) -> Path:
        """The absolute path."""
        return paths.from_bytes(self.raw)


class Source(NamedTuple):
    """A root folder; ``offline`` while it is missing or empty, as an unmounted drive is."""

    id: int
    path: Path
    offline: bool


class _RecordFields(NamedTuple):
    id: int
    source_id: int
    raw: bytes
    kind: Kind | None
    size_bytes: int
    mtime_ns: int
    digest: bytes | None
    status: Literal["ok", "failed"]
    reason: str
    gone: bool
    embedded: bool
    seen: int = 0
    beside: str = ""


class FileRecord(_RecordFields):
    """What the catalog holds of one file.

    ``embedded`` says that the file has items of the model being written: the collection's own, or the new one during a
    re-embedding. A file that is neither ``failed`` nor ``embedded`` waits to be embedded; one whose vectors were found
    damaged waits with ``digest`` ``None`` and ``mtime_ns`` 0, so that it is taken for a changed one. ``seen`` is the
    version of what was told of it (see ``media.SEEN``), ``beside`` the mark of the sidecars that were read with it.
    """

    __slots__ = ()

    @property
    def path(self) -> Path:
        """The absolute path; ``raw`` are its bytes."""
        return paths.from_bytes(self.raw)


class _ItemFields(NamedTuple):
    key: int
    file_id: int
    raw: bytes
    kind: Kind
    at_s: float | None
    start_s: float | None
    end_s: float | None
    width: int
    height: int
    taken_at: str | None
    mtime_ns: int
    gone: bool
    offline: bool


class ItemRow(_ItemFields):
    """One item with what is shown of its file; times within it are seconds, ``None`` for a picture."""

    __slots__ = ()

    @property
    def path(self) -> Path:
        """The absolute path; ``raw`` are its bytes."""
        return paths.from_bytes(self.raw)


Standing = tuple[bytes, int, int, str | None]
"""The bytes of a file's path, its size and time as the catalog has them, and the mark of the sidecars that were read.

The mark is ``None`` where there is something to do with the file even if it is found so: it failed, is gone, or has no
vectors of the model being written, or less was told of it than would be today.
"""


class FileFacts(NamedTuple):
    """What tells a file from its copies: ``told`` is how many kinds of metadata it has (when, camera, place, ...)."""

    id: int
    path: Path
    kind: Kind
    size_bytes: int
    mtime_ns: int
    digest: bytes | None
    width: int
    height: int
    duration_s: float | None
    taken_at: str | None
    told: int
    offline: bool


class ItemLooks(NamedTuple):
    """What n items look like, by rising key.

    ``keys`` and ``file_ids`` are ``(n,) int64``, ``at_s`` ``(n,) float64`` seconds (NaN for a picture), ``signatures``
    ``(n, 384) uint8`` (see ``types.Item``), all 0 where ``known`` ``(n,) bool`` says that there is none.
    """

    keys: Keys
    file_ids: Keys
    at_s: NDArray[np.float64]
    signatures: NDArray[np.uint8]
    known: NDArray[np.bool_]


class Told(NamedTuple):
    """What is known of a file besides its path: its size, how long a video is (seconds), and what it says of itself."""

    size_bytes: int
    duration_s: float | None
    details: Details


class WordMatch(NamedTuple):
    """A file whose words match: its BM25, higher is better, and how much of the words it holds, above 0 to 1."""

    file_id: int
    score: float
    share: float


class Frames(NamedTuple):
    """The items of one file in time order: ``keys`` ``(n,) int64``, times ``(n,) float64`` seconds (NaN for a picture).

    ``vectors`` is ``(n, dim) float32``, rows of length 1 but for float16 rounding; ``shots`` is ``(n,) int64``, -1
    where it is not known.
    """

    keys: Keys
    at_s: NDArray[np.float64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    vectors: FloatMatrix
    shots: NDArray[np.int64]


class Stats(NamedTuple):
    """Figures of a collection.

    ``files`` are those indexed and present, ``items`` what a search chooses from, ``failed`` the files that could not
    be read, ``offline`` the files on sources that are offline (part of ``files`` and ``failed``), ``gone`` the files no
    longer found. ``index`` holds ``kind``, ``vectors``, ``recall``, ``generation`` and ``state`` (``current``,
    ``behind`` or ``missing``: how the index on disk stands to the catalog). ``bytes`` is the size of the folder.
    ``details`` holds of how many of ``files`` each of ``taken``, ``camera``, ``place``, ``rating``, ``keyword`` and
    ``told`` is known; ``undescribed`` are those of which an earlier version told less.
    """

    files: int
    items: int
    failed: int
    offline: int
    gone: int
    sources: tuple[Source, ...]
    model: str
    index: dict[str, object]  # type: ignore[assignment]
    bytes: int
    details: dict[str, int]
    undescribed: int


class Problem(NamedTuple):
    """One thing ``verify`` found wrong, in words, and whether it was put right."""

    what: str
    repaired: bool


class Manifest(NamedTuple):
    """What a collection was made with; ``created_at`` is ISO 8601 in UTC, ``version`` that of the catalog's schema."""

    spec: ModelSpec
    sampling: Sampling
    index: IndexSpec  # type: ignore[assignment]
    version: int
    created_at: str


class Mark(NamedTuple):
    """Where the catalog stands, as the vector index must know it.

    ``lineage`` tells collections apart, ``model_id`` is the active model with vectors of length ``dim``, ``generation``
    rises with each change of its items, and removals up to ``pruned`` are no longer on record.
    """

    lineage: int
    model_id: int
    dim: int
    generation: int
    pruned: int
