"""What a model brings along to tell relevant hits from others: a background and the judges of each kind of query.

It lies in the model's folder, ``relevance.json`` with the numbers and ``relevance.npz`` with the background, and
belongs to one set of weights, by digest. ``python -m retrieval.training.relevance`` makes it.
"""

import json
import re
import zlib
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from retrieval.config import ModelSpec
from retrieval.errors import ModelError
from retrieval.messages import _
from retrieval.ranking.cut import Judge, Look
from retrieval.types import FloatMatrix

FORMAT = 1
NUMBERS, BACKGROUND = "relevance.json", "relevance.npz"
_MOST_BYTES = 2**20
_MOST_PICTURES = 65_536
_ROW = re.compile(r"\[[^][{}]*\]")
_DAMAGE = (KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError, EOFError, BadZipFile, zlib.error)
_STEPS = 127
"""A background is kept in whole numbers from -127 to 127, a row at a time."""


class Statistics(NamedTuple):
    """The background and the judges of one model.

    ``bank`` ``(b, dim) float32, rows of length 1`` are the background's pictures, ``crowd`` ``(b,)`` how crowded it is
    around each (``ranking.cut.crowding`` with the temperature ``heat``); ``judges`` has one a kind of query: ``text``,
    ``picture``, ``mixed``. ``facts`` says what they were fitted on and how good they are.
    """

    model: str
    digest: str
    heat: float
    bank: FloatMatrix
    crowd: NDArray[np.float64]
    judges: dict[str, Judge]
    facts: dict[str, Any]


def read_statistics(folder: Path, spec: ModelSpec) -> Statistics | None:
    """Read the statistics in a model's folder; None when there are none, or they belong to other weights.

    Raises:
        ModelError: they are damaged.
    """
    try:
        with (folder / NUMBERS).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(folder, error.strerror or "") from None
    try:
        data = json.loads(content)
        if data["format"] != FORMAT or len(content) > _MOST_BYTES:
            raise ValueError("its form is not known")
        if data["digest"] != spec.digest:
            return None
        judges = {kind: _judge(told) for kind, told in data["judges"].items()}
        bank, crowd = _background(folder / BACKGROUND, spec.dim)
        heat = float(data["heat"])
        if not heat > 0:
            raise ValueError("the heat is not above 0")
        return Statistics(str(data["model"]), spec.digest, heat, bank, crowd, judges, dict(data["facts"]))
    except _DAMAGE as error:
        raise _damaged(folder, str(error)) from None


def write_statistics(folder: Path, found: Statistics) -> None:
    """Write statistics into a model's folder; ``read_statistics`` reads them back (the background to 1 in 127)."""
    np.savez(folder / BACKGROUND, bank=_steps(found.bank), crowd=found.crowd.astype(np.float32))
    data = {
        "format": FORMAT,
        "model": found.model,
        "digest": found.digest,
        "heat": found.heat,
        "facts": found.facts,
        "judges": {kind: _told(judge) for kind, judge in found.judges.items()},
    }
    text = _ROW.sub(lambda found: " ".join(found[0].split()), json.dumps(data, indent=1))
    (folder / NUMBERS).write_text(text + "\n", encoding="utf-8")


def stepped(bank: FloatMatrix) -> FloatMatrix:
    """Return a background as it is after writing and reading, ``(b, dim) float32``, rows of length 1."""
    rows = _steps(bank).astype(np.float32)
    found: FloatMatrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def _steps(bank: FloatMatrix) -> NDArray[np.int8]:
    steps: NDArray[np.int8] = np.round(bank / np.abs(bank).max(axis=1, keepdims=True) * _STEPS).astype(np.int8)
    return steps


def _background(path: Path, dim: int) -> tuple[FloatMatrix, NDArray[np.float64]]:
    with path.open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("a background that is no archive")
        steps, crowd = arrays["bank"], arrays["crowd"].astype(np.float64)
    if steps.dtype != np.int8 or steps.ndim != 2 or steps.shape[1] != dim or not 0 < len(steps) <= _MOST_PICTURES:
        raise ValueError(f"a background of shape {steps.shape}")
    if crowd.shape != (len(steps),) or not np.isfinite(crowd).all():
        raise ValueError("numbers that make no sense")
    rows = steps.astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError("a background with a vector of no length")
    return (rows / lengths).astype(np.float32), crowd


def _judge(told: dict[str, Any]) -> Judge:
    weights = np.array([told["weights"][name] for name in Look._fields], np.float64)
    null = np.array(told["null"], np.float64)
    of_odds, of_gap, bias = (float(value) for value in told["hits"])
    found = Judge(weights, float(told["bias"]), null, (of_odds, of_gap, bias), float(told["keep"]))
    numbers = [*weights, found.bias, *null, of_odds, of_gap, bias, found.keep]
    if null.ndim != 1 or len(null) < 2 or not np.isfinite(numbers).all() or (np.diff(null) < 0).any() or of_gap > 0:
        raise ValueError("numbers that make no sense")
    return found


def _told(judge: Judge) -> dict[str, Any]:
    return {
        "weights": {name: round(float(value), 5) for name, value in zip(Look._fields, judge.weights, strict=True)},
        "bias": round(judge.bias, 5),
        "hits": [round(value, 5) for value in judge.hits],
        "keep": round(judge.keep, 4),
        "null": [round(float(value), 4) for value in judge.null],
    }


def _damaged(folder: Path, why: str) -> ModelError:
    message = _("{path} cannot be used ({reason}); install the model again, or leave out --cut auto")
    return ModelError(message.format(path=folder / NUMBERS, reason=" ".join(why.split())[:120]))
