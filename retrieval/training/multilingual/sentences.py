"""Pictures with sentences in two languages, as the second text tower is fitted and measured on."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.errors import DatasetError
from retrieval.training.data import read_captions
from retrieval.training.measure import IntArray

KINDS = ("written", "machine", "english")
"""Chinese by people who saw the picture, Chinese translated from the English caption of the same number, English."""
_MOST_BYTES = 256 << 20


class Sentence(NamedTuple):
    """A sentence on picture `picture` of its split; a `machine` one translates the `english` one of its number."""

    text: str
    picture: int
    kind: str
    number: int


class Told(NamedTuple):
    """Pictures (file names under `images/`) and all that is said of them."""

    names: list[str]
    sentences: list[Sentence]

    def of(self, kind: str, numbers: int | None = None) -> list[Sentence]:
        """The sentences of a kind, of the first `numbers` of each picture if given."""
        return [s for s in self.sentences if s.kind == kind and (numbers is None or s.number < numbers)]


def read_told(folder: Path, splits: Sequence[str]) -> Told:
    """Read `captions.tsv` (image, split, caption) and `captions.zh.tsv` (image, split, written or machine, number,
    caption) of `folder`.

    Raises:
        DatasetError: a table is missing or malformed, or tells of a picture that the English one does not have.
    """
    english = read_captions(folder, splits)
    numbers = [0] * len(english.names)
    sentences = []
    for text, owner in zip(english.captions, english.owner.tolist(), strict=True):
        sentences.append(Sentence(text, owner, "english", numbers[owner]))
        numbers[owner] += 1
    places = {name: place for place, name in enumerate(english.names)}
    return Told(english.names, sentences + _chinese(folder / "captions.zh.tsv", splits, places))


def _chinese(table: Path, splits: Sequence[str], places: dict[str, int]) -> list[Sentence]:
    if not table.is_file() or table.stat().st_size > _MOST_BYTES:
        raise DatasetError(f"{table} is missing or too large: give a folder with captions in Chinese as well")
    found = []
    with table.open(encoding="utf-8") as lines:
        for at, line in enumerate(lines, 1):
            cells = line.rstrip("\n").split("\t")
            if len(cells) != 5 or cells[2] not in KINDS[:2] or not cells[3].isdecimal():
                raise DatasetError(f"{table}, line {at}: expected image, split, written or machine, number, caption")
            if cells[1] in splits:
                if cells[0] not in places:
                    raise DatasetError(f"{table}, line {at}: captions.tsv has no picture {cells[0]!r:.60} there")
                found.append(Sentence(cells[4], places[cells[0]], cells[2], int(cells[3])))
    return found


def owners(sentences: Iterable[Sentence]) -> IntArray:
    """(n,) the picture of each sentence."""
    return np.array([sentence.picture for sentence in sentences], np.int64)
