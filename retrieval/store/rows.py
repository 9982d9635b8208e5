"""What the catalog's rows hold of a file: where it is, and what it tells of itself."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.media import SEEN
from retrieval.store import paths
from retrieval.store.records import Entry
from retrieval.types import Details, FloatMatrix, Item, MediaInfo

_UNIT = 1e-2


def halves_of(items: Sequence[Item], vectors: FloatMatrix, dim: int) -> NDArray[np.float16]:
    """Return vectors ``(len(items), dim)`` as they are stored.

    Raises:
        ValueError: no items, or vectors that are not finite, not of length 1, or not of the right shape.
    """
    rows = np.asarray(vectors, np.float32)
    if not items or rows.shape != (len(items), dim):
        raise ValueError(f"{len(items)} items need vectors of shape ({len(items)}, {dim}), not {rows.shape}")
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    if not (np.abs(lengths - 1.0) <= _UNIT).all():
        raise ValueError("vectors must be finite and of length 1")
    return rows.astype("<f2")


def located(source_id: int, entry: Entry) -> dict[str, Any]:
    """Return where a file is, and its size and time.

    Raises:
        ValueError: the path is not absolute.
    """
    raw = entry.raw
    if not os.path.isabs(raw):  # noqa: PTH117 - bytes: a Path for each file takes longer than all else here
        raise ValueError(f"not an absolute path: {entry.path}")
    return {
        "source_id": source_id,
        "path": raw,
        "path_text": paths.to_text(raw),
        "ext": paths.extension(raw),
        "size_bytes": entry.size_bytes,
        "mtime_ns": entry.mtime_ns,
        "gone": False,
    }


def keywords_of(file_id: int, info: MediaInfo) -> list[dict[str, Any]]:
    """Return the rows of a file's keywords, each word once."""
    return [{"file_id": file_id, "keyword": word} for word in dict.fromkeys(info.details.keywords)]


def told(info: MediaInfo | None, beside: str) -> dict[str, Any]:
    """Return what a file tells of itself; ``info`` is None for one that cannot be read."""
    details = Details() if info is None else info.details
    return {
        "camera": details.camera,
        "latitude": details.latitude,
        "longitude": details.longitude,
        "rating": details.rating,
        "told": details.told,
        "seen": SEEN,
        "beside": beside,
    }
