"""Vectors with what they belong to, as a NumPy archive that needs no pickle."""

import json
import os
import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval.exports.gathered import Gathered, Row


def write_npz(file: BinaryIO, gathered: Gathered) -> None:
    """Write arrays of n rows each, in the same order, which ``numpy.load`` reads without pickle.

    ``vectors`` is ``(n, dim) float32``, ``keys`` ``(n,) int64``, ``paths`` the bytes of the files' paths (``S``; see
    ``os.fsdecode``), ``kinds`` ``image`` or ``video``, ``start_s``, ``end_s`` and ``at_s`` ``float64`` seconds, NaN for
    pictures, ``widths`` and ``heights`` ``int32`` pixels, ``taken_at`` text, empty where it is not known; of hits also
    ``ranks`` ``int32`` and ``scores`` ``float32``. ``about`` is one text, JSON with the model and the query.

    Memory holds one block; the columns wait in temporary files until the vectors are written.
    """
    asked = "rank" in gathered.columns
    longest = max((len(os.fsencode(row.path)) for rows in gathered.rows(tell=False) for row in rows), default=1)
    kinds = _kinds(longest, asked)
    with ExitStack() as stack:
        waiting = {name: stack.enter_context(tempfile.TemporaryFile()) for name in kinds}
        archive = stack.enter_context(zipfile.ZipFile(file, "w"))
        with _member(archive, "vectors", (gathered.count, gathered.dim), np.float32) as member:
            for block in gathered.blocks():
                member.write(np.ascontiguousarray(block.vectors, np.float32).tobytes())
                for name, kind in kinds.items():
                    waiting[name].write(_column(block.rows, name, kind).tobytes())
        for name, kind in kinds.items():
            waiting[name].seek(0)
            with _member(archive, name, (gathered.count,), kind, deflated=True) as member:
                shutil.copyfileobj(waiting[name], member)
        about = np.array(json.dumps(gathered.about))
        with _member(archive, "about", (), about.dtype) as member:
            member.write(about.tobytes())


def _kinds(longest: int, asked: bool) -> dict[str, DTypeLike]:
    of_hits: dict[str, DTypeLike] = {"ranks": np.int32, "scores": np.float32} if asked else {}
    return {
        "keys": np.int64,
        **of_hits,
        "paths": f"S{longest}",
        "kinds": "U5",
        "start_s": np.float64,
        "end_s": np.float64,
        "at_s": np.float64,
        "widths": np.int32,
        "heights": np.int32,
        "taken_at": "U32",
    }


_FIELDS = {"keys": "key", "ranks": "rank", "scores": "score", "kinds": "kind", "widths": "width", "heights": "height"}


def _column(rows: list[Row], name: str, kind: DTypeLike) -> NDArray[np.generic]:
    if name == "paths":
        return np.array([os.fsencode(row.path) for row in rows], kind)
    values = [getattr(row, _FIELDS.get(name, name)) for row in rows]
    if name.endswith("_s"):
        values = [np.nan if value is None else value for value in values]
    return np.array([value or "" for value in values] if name == "taken_at" else values, kind)


def _member(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], kind: DTypeLike, deflated: bool = False
) -> IO[bytes]:
    """Open an array of the archive for writing, its head written."""
    about = zipfile.ZipInfo(f"{name}.npy")  # without a date: the same vectors make the same file
    about.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    about.external_attr = 0o600 << 16
    member = archive.open(about, "w", force_zip64=True)
    head = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, head)
    return member
