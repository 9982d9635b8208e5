"""Vectors in a file of numpy as a part of a query."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import QueryError
from retrieval.messages import N_, _
from retrieval.ranking import MAX_PROBES
from retrieval.types import FloatMatrix

if TYPE_CHECKING:
    from retrieval.config import ModelSpec

MAX_BYTES = 1 << 26
"""The largest file that is read: 64 MB."""


def read_vectors(name: str, spec: "ModelSpec") -> tuple[FloatMatrix, list[str]]:
    """Return the vectors of a ``.npy`` file, ``(n, dim) float32, rows of length 1``, and what the user should know.

    The file holds ``(dim,)`` or ``(n, dim)`` numbers of any floating type. Nothing in it is run.

    Raises:
        QueryError: there is no such file, or it holds anything else.
    """
    from retrieval.embedding.base import normalise, usable

    array = _loaded(name)
    if array.dtype.kind != "f" or array.ndim not in (1, 2) or not array.size:
        shape = "x".join(map(str, array.shape)) or "one"
        message = _("{name} holds {shape} numbers of type {type}; vectors are (dim,) or (n, dim) floating numbers")
        raise QueryError(message.format(name=name, shape=shape, type=array.dtype))
    rows = np.atleast_2d(np.asarray(array))
    if rows.shape[1] != spec.dim:
        message = _("{name} holds vectors of {found} numbers; those of the model {model} have {dim}")
        raise QueryError(message.format(name=name, found=rows.shape[1], model=spec.name, dim=spec.dim))
    wide = rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # lengths that float32 does not hold are no less vectors
        vectors = normalise((wide / np.abs(wide).max(axis=1, keepdims=True)).astype(np.float32))
    if not usable(vectors).all():
        message = _("{name} holds a vector that is zero or not finite; leave it out")
        raise QueryError(message.format(name=name))
    if len(vectors) > MAX_PROBES:
        note = N_("{name}: {most} of its {count} vectors are used, evenly from first to last")
        return vectors, [note.format(name=name, most=MAX_PROBES, count=len(vectors))]
    return vectors, []


def _loaded(name: str) -> NDArray[Any]:
    """Return the array of a file, not read into memory yet."""
    try:
        found = os.stat(name)  # noqa: PTH116 - Path takes no name with a zero byte
    except (OSError, ValueError):
        message = _("there is no file of vectors {name!r}; give the name of a .npy file")
        raise QueryError(message.format(name=name[:200])) from None
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        message = _("{name} is no file of at most {most} MB; give fewer vectors")
        raise QueryError(message.format(name=name, most=MAX_BYTES >> 20))
    try:
        array = np.load(Path(name), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = _("{name} cannot be read as a .npy file ({reason}); save vectors with numpy.save")
        raise QueryError(message.format(name=name, reason=reason)) from None
    if not isinstance(array, np.ndarray):
        array.close()
        message = _("{name} holds several arrays; save one of them with numpy.save")
        raise QueryError(message.format(name=name))
    return array
