"""From cosines to probabilities: Platt scaling of cosines, centred for each picture.

The cosine of a picture with a word says little by itself: models differ in scale, and some pictures are near to all
words. So the cosine with the mean vector of the built-in words (the centre) is taken away, and a logistic function with
a slope and a bias (Platt, "Probabilistic Outputs for Support Vector Machines", 1999; the inverse slope is the
temperature of Guo et al., "On Calibration of Modern Neural Networks", ICML 2017) turns the rest into the probability
that the word applies. Slope and bias are fitted on captioned pictures, where a word counts as true when a form of it
stands in one of the picture's captions.
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.config import ModelSpec
from retrieval.errors import OptionError
from retrieval.labels.text_vectors import prompts_digest
from retrieval.messages import N_, _, reason_of, retold
from retrieval.ranking import logistic
from retrieval.types import FloatMatrix

FORMAT = 1
_BUILTIN = Path(__file__).with_name("starter.json")
_MOST_BYTES = 2**20
_ROUNDS = 100
_CLOSE = 1e-9


class Quality(NamedTuple):
    """How good scores are on pictures the calibration was not fitted on.

    ``ece_before`` is the expected calibration error when a cosine, cut to 0-1, is taken for a probability;
    ``ece_after`` that of the calibrated scores; the two ``_of_first`` are over the five best words of each picture
    alone. ``precision_at_5`` is the share of the five best words that stand in the picture's captions, ``pictures`` how
    many were measured.
    """

    pictures: int
    words: int
    ece_before: float
    ece_after: float
    ece_of_first_before: float
    ece_of_first_after: float
    precision_at_5: float


class Calibration(NamedTuple):
    """What turns the cosines of one model into probabilities.

    ``digest`` is that of the model's weights, ``prompts`` that of the prompts the words were put into, ``centre`` the
    mean vector of the built-in words ``(dim,) float32``, ``fitted`` the number of pictures it was fitted on.
    """

    model: str
    digest: str
    prompts: str
    slope: float
    bias: float
    centre: NDArray[np.float32]
    fitted: int
    quality: Quality

    def fits(self, spec: ModelSpec) -> bool:
        """Say whether it was made for this model and the present prompts."""
        return (self.digest, self.prompts, len(self.centre)) == (spec.digest, prompts_digest(), spec.dim)

    def probabilities(self, pictures: FloatMatrix, cosines: FloatMatrix) -> NDArray[np.float64]:
        """Return ``(n, w) float64`` from 0 to 1 for ``(n, dim)`` pictures and their ``(n, w)`` cosines with words."""
        return logistic(self.slope * centred(pictures, cosines, self.centre) + self.bias)

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON-ready values; ``read_calibration`` reads them back."""
        centre = [round(float(value), 6) for value in self.centre]
        return {
            "format": FORMAT,
            **self._asdict(),
            "slope": round(self.slope, 6),
            "bias": round(self.bias, 6),
            "centre": centre,
            "quality": {name: round(value, 5) for name, value in self.quality._asdict().items()},
        }


def centred(pictures: FloatMatrix, cosines: FloatMatrix, centre: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``(n, w)`` cosines less each picture's inner product with the centre."""
    found: NDArray[np.float64] = cosines.astype(np.float64) - (pictures @ centre)[:, None]
    return found


def fit_platt(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the slope and bias of the logistic function that makes ``true`` most likely given ``scores``.

    Both are ``(p,)``.

    Targets are drawn in from 0 and 1 as Platt (1999) does, so that scores that part true from false without a fault
    still have a finite slope. Newton's method, with a halved step where it would overshoot (Lin, Lin and Weng, 2007).

    Raises:
        ValueError: all are true, or none is, or the scores are all alike.
    """
    positive = int(true.sum())
    negative = len(true) - positive
    if not positive or not negative or float(np.ptp(scores)) == 0.0:
        raise ValueError("fitting needs different scores, some true and some false")
    target = np.where(true, (positive + 1) / (positive + 2), 1 / (negative + 2))
    columns = np.stack([scores, np.ones_like(scores)], axis=1)
    found = np.array([0.0, math.log((positive + 1) / (negative + 1))])
    loss = _loss(columns @ found, target)
    for _round in range(_ROUNDS):
        chance = logistic(columns @ found)
        gradient = columns.T @ (chance - target)
        curvature = (columns * (chance * (1 - chance))[:, None]).T @ columns + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        share = 1.0
        while (after := _loss(columns @ (found - share * step), target)) > loss and share > _CLOSE:
            share /= 2
        found = found - share * step
        if loss - after <= _CLOSE * max(1.0, abs(loss)):
            break
        loss = after
    return float(found[0]), float(found[1])


def builtin_calibration() -> Calibration | None:
    """Return the calibration that comes with sightseek, for the built-in model; None when it is not there."""
    return read_calibration(_BUILTIN) if _BUILTIN.is_file() else None


def read_calibration(path: Path) -> Calibration:
    """Read what ``python -m retrieval.labels.calibrate`` wrote.

    Raises:
        OptionError: the file cannot be read or is not of that form.
    """
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MOST_BYTES))
    except OSError as error:
        raise OptionError(
            _("--calibration {path} cannot be read ({reason}); {make}").format(
                path=path, reason=reason_of(error), make=retold(_MAKE)
            )
        ) from None
    except (ValueError, RecursionError):
        raise OptionError(_("--calibration {path} is not JSON; {make}").format(path=path, make=retold(_MAKE))) from None
    try:
        if data["format"] != FORMAT:
            raise ValueError
        found = Calibration(
            model=str(data["model"]),
            digest=str(data["digest"]),
            prompts=str(data["prompts"]),
            slope=float(data["slope"]),
            bias=float(data["bias"]),
            centre=np.array(data["centre"], dtype=np.float32),
            fitted=int(data["fitted"]),
            quality=Quality(**data["quality"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        raise OptionError(
            _("--calibration {path} is not a calibration of format {known}; {make}").format(
                path=path, known=FORMAT, make=retold(_MAKE)
            )
        ) from None
    sound = found.centre.ndim == 1 and bool(np.isfinite([found.slope, found.bias, *found.centre]).all())
    if not sound or found.slope <= 0:
        raise OptionError(
            _("--calibration {path} holds numbers that make no sense; {make}").format(path=path, make=retold(_MAKE))
        )
    return found


_MAKE = N_("make one with: python -m retrieval.labels.calibrate --data FOLDER --out FILE")


def _loss(scores: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    return float((np.logaddexp(0.0, scores) - target * scores).sum())
