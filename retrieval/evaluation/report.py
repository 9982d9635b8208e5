"""The report of an evaluation: figures of both directions, their intervals, and what they were measured on."""

from pathlib import Path
from typing import Any, NamedTuple

from retrieval.evaluation.results import AskedDirection
from retrieval.evaluation.significance import Interval

_DECIMALS = 3


class Direction(NamedTuple):
    """One direction: how many queries chose from how many rows, the figures (per cent), and their 95 % intervals.

    ``gallery`` is that of one fold where there are folds. ``figures`` are recall and median rank, ``measures`` the
    further ones that were asked for, with intervals of their own.
    """

    queries: int
    gallery: int
    figures: dict[str, float]
    interval_95: dict[str, Interval]
    measures: dict[str, tuple[float, Interval]]


class Report(NamedTuple):
    """What an evaluation found.

    ``images`` and ``captions`` count what was asked for, ``failed`` pictures included: those are in no gallery, and
    what was to be found there counts as never found. ``captions`` counts different texts when ``unique_captions``.
    ``ignored`` counts lines of other splits, ``repeated`` lines that say the same of the same picture again. ``notes``
    say what is not as the protocol wants it. ``model`` is the fingerprint of the model, ``data`` the SHA-256 (hex) of
    the captions, ``pictures`` one over the contents of the pictures, in their order.
    """

    protocol: str
    split: str
    images: int
    captions: int
    folds: int
    text_to_image: Direction
    image_to_text: Direction
    failed: tuple[tuple[Path, str], ...]
    unique_captions: bool
    ignored: int
    repeated: int
    notes: tuple[str, ...]
    model: dict[str, Any]
    data: str
    pictures: str

    @property
    def directions(self) -> dict[AskedDirection, Direction]:
        """Both directions by name."""
        return {"text_to_image": self.text_to_image, "image_to_text": self.image_to_text}

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values: the counts and figures first, then intervals, failures and the model."""
        both = self.directions
        return {
            "images": self.images,
            "captions": self.captions,
            **{name: rounded(one.figures) for name, one in both.items()},
            "interval_95": {
                name: {measure: ends(interval) for measure, interval in one.interval_95.items()}
                for name, one in both.items()
            },
            **(
                {"measures": {name: _measured(one) for name, one in both.items()}}
                if self.text_to_image.measures
                else {}
            ),
            "queries": {name: one.queries for name, one in both.items()},
            "gallery": {name: one.gallery for name, one in both.items()},
            "protocol": self.protocol,
            "split": self.split,
            "folds": self.folds,
            "unique_captions": self.unique_captions,
            "ignored": self.ignored,
            "repeated": self.repeated,
            "notes": list(self.notes),
            "failed": [{"path": str(path), "reason": reason} for path, reason in self.failed],
            "model": self.model,
            "index": {"kind": "exact", "by": "NumPy"},
            "data": self.data,
            "pictures": self.pictures,
        }


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Return figures as they are printed in JSON."""
    return {name: round(found, _DECIMALS) for name, found in figures.items()}


def ends(interval: Interval) -> list[float]:
    """Return an interval as it is printed in JSON."""
    return [round(end, _DECIMALS) for end in interval]


def _measured(one: Direction) -> dict[str, Any]:
    return {
        name: {"value": round(found, _DECIMALS), "interval_95": ends(interval)}
        for name, (found, interval) in one.measures.items()
    }
