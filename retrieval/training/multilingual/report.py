"""What a written tower does, through the files alone, and its model card."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np
import onnx

from retrieval.embedding import Embedder
from retrieval.embedding.multilingual import CHARACTERS, MultilingualTower
from retrieval.training.data import read_captions
from retrieval.training.measure import FloatArray, IntArray, bootstrap, class_recall, recall
from retrieval.training.multilingual.fitting import FEWEST, Recipe
from retrieval.training.multilingual.inputs import KeptFeatures, KeptVectors
from retrieval.training.multilingual.sentences import owners, read_told
from retrieval.training.report import Figures, as_rows

NAMES = Path(__file__).with_name("names.tsv")
TEMPLATE = Path(__file__).with_name("card.md")


class Spread(NamedTuple):
    """Mean and standard deviation of cosines: of sentences with their own picture, and with all others."""

    own: tuple[float, float]
    others: tuple[float, float]


def spread(similarity: FloatArray, owner: IntArray) -> Spread:
    """How cosines (pictures, sentences) lie; sentence j belongs to picture `owner[j]`."""
    mine = similarity[owner, np.arange(len(owner))]
    mask = np.ones(similarity.shape, bool)
    mask[owner, np.arange(len(owner))] = False
    rest = similarity[mask]
    return Spread((float(mine.mean()), float(mine.std())), (float(rest.mean()), float(rest.std())))


def figures(similarity: FloatArray, owner: IntArray) -> Figures:
    """Recall with intervals of cosines (pictures, sentences)."""
    return Figures(recall(similarity, owner), *bootstrap(similarity, owner))


def report_rows(data: Path, model: Embedder, tower: MultilingualTower, kept: KeptVectors) -> list[str]:
    """Table rows on the dev split of `data`: each kind of sentence by the tower, English by the model's own too."""
    told = read_told(data, ["dev"])
    pictures = kept.pictures([data / "images" / name for name in told.names])
    rows = []
    for kind in ("written", "english"):
        sentences = told.of(kind)
        texts, owner = [sentence.text for sentence in sentences], owners(sentences)
        rows.append(_row(f"{_TITLES[kind]}, this tower", pictures @ tower.embed_texts(texts).T, owner))
        if kind == "english":
            rows.append(_row("English, the model's own tower", pictures @ kept.texts(texts).T, owner))
    return rows


_TITLES = {"written": "Chinese", "english": "English"}


def _row(title: str, similarity: FloatArray, owner: IntArray) -> str:
    found = spread(similarity, owner)
    cosines = f"{found.own[0]:.3f} ± {found.own[1]:.3f} | {found.others[0]:.3f} ± {found.others[1]:.3f}"
    return f"| {title} | {as_rows(figures(similarity, owner))} | {cosines} |"


def name_rows(folder: Path, model: Embedder, tower: MultilingualTower, kept: KeptVectors) -> list[str]:
    """Table rows: per cent of class names, in each language of `names.tsv`, that find a picture of the class first.

    `folder` holds pictures of classes: images/ and captions.tsv, whose captions end in the English name.
    """
    table = [line.split("\t") for line in NAMES.read_text(encoding="utf-8").splitlines()]
    found = read_captions(folder, ["test"])
    pictures = kept.pictures([folder / "images" / name for name in found.names])
    labels = np.full(len(found.names), -1, np.int64)
    for caption, owner in zip(found.captions, found.owner, strict=True):
        labels[owner] = _class_of(caption, [row[0] for row in table[1:]])
    rows = []
    for column, code in enumerate(table[0]):
        names = [row[column] for row in table[1:]]
        cells = [f"{class_recall(pictures, tower.embed_texts(names), labels):.1f}"]
        cells.append(f"{class_recall(pictures, model.embed_texts(names), labels):.1f}")
        rows.append(f"| {code} | {' | '.join(cells)} |")
    return rows


def _class_of(caption: str, names: Sequence[str]) -> int:
    """The place of the name a caption ends in; -1 when it is none of them."""
    said = caption.rstrip(" .").removeprefix("a photo of a ")
    return names.index(said) if said in names else -1


class Asked(NamedTuple):
    """What the card is written of: the tower's folder, the data, the second folder, and how the tower was fitted."""

    out: Path
    data: Path
    classes: Path | None
    sentences: Sequence[int]
    views: int
    recipe: Recipe


def write_card(asked: Asked, model: Embedder, features: KeptFeatures, kept: KeptVectors) -> None:
    """Measure the written tower on the dev split of the data and write its `README.md`."""
    folder, data, classes, sentences, views, recipe = asked
    tower = MultilingualTower(folder, model.spec, features)
    values = {
        "model": Path(model.spec.name).name,
        "digest": model.spec.digest,
        "dev": "\n".join(report_rows(data, model, tower, kept)),
        "classes": "\n".join(name_rows(classes, model, tower, kept)) if classes else "| not measured | | |",
        "sentences": " ".join(str(number) for number in sentences),
        "views": str(views),
        "fitted": _kinds(sentences),
        "told": _kinds([count if most else 0 for count, most in zip(recipe.told(), sentences, strict=True)]),
        "known": f"{_known(folder):,}",
        "fewest": str(FEWEST),
        "looks": "whole" if views == 1 else f"whole, and {views - 1} random parts of each",
        **{name: str(value) for name, value in recipe._asdict().items()},
        "count": str(len(NAMES.read_text(encoding="utf-8").splitlines()) - 1),
        "files": "\n".join(_file_row(folder / name) for name in ("head.onnx", "model.json")),
    }
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _kinds(sentences: Sequence[int]) -> str:
    """How many sentences of each kind, in words: `3 in Chinese by people and 1 in English`."""
    kinds = ("in Chinese by people", "in Chinese by machine", "in English")
    said = [f"{count} {kind}" for count, kind in zip(sentences, kinds, strict=True) if count]
    return " and ".join([", ".join(said[:-1]), said[-1]]) if said[1:] else said[0]


def _known(folder: Path) -> int:
    """How many characters and pairs a written head knows."""
    head = onnx.load(folder / "head.onnx")
    return sum(len(entry.value.split()) for entry in head.metadata_props if entry.key == CHARACTERS)


def _file_row(path: Path) -> str:
    content = path.read_bytes()
    return f"| `{path.name}` | {len(content):,} | `{hashlib.sha256(content).hexdigest()}` |"
