"""Arrays that are costly to compute, kept in the user's cache folder: private, checked when read, bounded in size."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.config import model_cache
from retrieval.types import FloatMatrix

Halves = NDArray[np.float16]

_MOST_BYTES = 512 * 2**20
_SUFFIX = ".npy"


def label_cache() -> Path:
    """Return the folder where vectors of words and sentences are kept."""
    return model_cache().parent / "labels"


def kept(folder: Path, name: str, shape: tuple[int, int], make: Callable[[], FloatMatrix]) -> FloatMatrix:
    """Return the matrix kept under ``name``, or make and keep it; both give the same numbers (float16 is stored).

    A file that is damaged or of another shape is made anew. A folder that cannot be written is no error. When the
    folder grows beyond 512 MB, what was not used for longest goes.
    """
    path = folder / (name + _SUFFIX)
    found = _read(path, shape)
    if found is None:
        found = make().astype(np.float16)
        _write(path, found)
    return found.astype(np.float32)


def _read(path: Path, shape: tuple[int, int]) -> Halves | None:
    try:
        with path.open("rb") as file:
            header = _header(shape)
            if file.read(len(header)) != header:  # not parsed: what is damaged may raise anything
                return None
            rows = np.fromfile(file, "<f2", shape[0] * shape[1] + 1)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used just now
    if rows.size != shape[0] * shape[1] or not np.isfinite(rows).all():
        return None
    return rows.reshape(shape)


def _header(shape: tuple[int, int]) -> bytes:
    """Return how a file of NumPy's of this shape begins."""
    into = io.BytesIO()
    np.lib.format.write_array_header_1_0(into, {"descr": "<f2", "fortran_order": False, "shape": shape})
    return into.getvalue()


def _write(path: Path, rows: Halves) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # for its owner alone
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, rows.astype("<f2"), allow_pickle=False)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
        _drop_oldest(path.parent, path)


def _drop_oldest(folder: Path, newest: Path) -> None:
    files = [(path.stat(), path) for path in folder.glob("*" + _SUFFIX) if path != newest]
    room = _MOST_BYTES - newest.stat().st_size
    for stat, path in sorted(files, key=lambda file: -file[0].st_mtime_ns):
        room -= stat.st_size
        if room < 0:
            path.unlink(missing_ok=True)
