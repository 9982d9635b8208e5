"""Fit the second text tower to a model: `python -m retrieval.training.multilingual --data F --model M --out O`.

The data folder holds images/, captions.tsv (image, split, caption) and captions.zh.tsv (image, split, written or
machine, number, caption). Fitted is on the splits train and extra, chosen on dev; test is never read.
"""

import argparse
import copy
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.embedding import open_embedder
from retrieval.embedding.base import normalise
from retrieval.embedding.characters import Characters
from retrieval.embedding.multilingual import readable
from retrieval.errors import RetrievalError
from retrieval.training.measure import FloatArray, IntArray, Recall, recall
from retrieval.training.multilingual.export import write_tower
from retrieval.training.multilingual.fitting import Material, Recipe, Sentences, Tower, fit, frequent, vectors_of
from retrieval.training.multilingual.inputs import KeptFeatures, KeptVectors
from retrieval.training.multilingual.report import Asked, write_card
from retrieval.training.multilingual.sentences import KINDS, Sentence, Told, owners, read_told
from retrieval.training.sources import prompt

LICENCES = Path(__file__).with_name("licences")


class Held(NamedTuple):
    """What is chosen by: vectors of pictures, and Chinese sentences by people: features, characters, their picture."""

    pictures: FloatArray
    features: FloatArray
    characters: IntArray
    owner: IntArray


def note(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def gather(options: argparse.Namespace, features: KeptFeatures, vectors: KeptVectors) -> tuple[Material, Held]:
    """Read the data folder, and compute or read back what is kept of it."""
    told, held = (read_told(options.data, splits) for splits in (["train", "extra"], ["dev"]))
    teacher = Teacher(told, vectors)
    chosen = {kind: told.of(kind, most) for kind, most in zip(KINDS, options.sentences, strict=True)}
    bare = class_names(options.model)
    names = [*bare, *(prompt(name) for name in bare)]  # one word is a query as often as a sentence is
    paths = [options.data / "images" / name for name in told.names]

    chinese = chosen["written"] + chosen["machine"]
    characters = Characters(frequent(readable(sentence.text) for sentence in chinese))

    def sentences(kind: str) -> Sentences:
        texts = [sentence.text for sentence in chosen[kind]]
        read = characters.rows(list(map(readable, texts)))
        return Sentences(features.compute(texts), owners(chosen[kind]), teacher.rows(chosen[kind]), read)

    material = Material(
        [vectors.pictures(paths, view, options.seed) for view in range(options.views)],
        sentences("written"),
        sentences("machine"),
        sentences("english"),
        features.compute(names),
        vectors.texts(names),
        characters.known,
    )
    asked = held.of("written")
    texts = [sentence.text for sentence in asked]
    pictures = vectors.pictures([options.data / "images" / name for name in held.names])
    return material, Held(pictures, features.compute(texts), characters.rows(list(map(readable, texts))), owners(asked))


class Teacher:
    """The vectors that sentences should have, from the model's own vectors of the English captions."""

    def __init__(self, told: Told, vectors: KeptVectors) -> None:
        """Embed all English captions of `told`."""
        english = told.of("english")
        rows = vectors.texts([sentence.text for sentence in english])
        self._rows: dict[tuple[int, int], FloatArray] = {
            (s.picture, s.number): row for s, row in zip(english, rows, strict=True)
        }
        sums = np.zeros((len(told.names), rows.shape[1]), np.float32)
        np.add.at(sums, owners(english), rows)
        self._centres = normalise(sums)

    def rows(self, sentences: Sequence[Sentence]) -> FloatArray:
        """(n, dim) what :meth:`of` gives of each."""
        return np.array([self.of(one) for one in sentences], np.float32).reshape(-1, self._centres.shape[1])

    def of(self, sentence: Sentence) -> FloatArray:
        """(dim,) of length 1: an English sentence's own vector, that of the one it translates, or the picture's mean.

        Who wrote in Chinese saw the picture and no caption: the mean of its captions is the nearest thing to a
        translation.
        """
        centre: FloatArray = self._centres[sentence.picture]
        if sentence.kind == "written":
            return centre
        return self._rows.get((sentence.picture, sentence.number), centre)


def class_names(folder: Path) -> list[str]:
    """The names of a model folder's `classes.txt`, which keep words apart that no caption uses; none without it."""
    table = folder / "classes.txt"
    return table.read_text(encoding="utf-8").splitlines() if table.is_file() else []


def train(material: Material, held: Held, recipe: Recipe) -> Tower:
    """Run the recipe; returned are the averaged weights of the epoch that does best on what is held out."""
    best: list[tuple[Tower, Recall]] = []

    def after_epoch(epoch: int, loss: float, averaged: Tower) -> None:
        found = recall(held.pictures @ vectors_of(averaged, held.features, held.characters).T, held.owner)
        figures = " ".join(f"{value:.1f}" for value in found.text_to_image + found.image_to_text)
        note(f"epoch {epoch}: loss {loss:.3f}, dev {figures}")
        if not best or found.total > best[0][1].total:
            best[:] = [(copy.deepcopy(averaged), found)]

    fit(material, recipe, after_epoch)
    return best[0][0]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.training.multilingual", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and both tables of captions")
    parser.add_argument("--model", type=Path, required=True, help="model folder whose space the tower is fitted to")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the tower to")
    parser.add_argument("--cache", type=Path, help="keep features of sentences and vectors here (about 200 MB)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--sentences",
        type=int,
        nargs=3,
        default=(5, 5, 5),
        metavar=("WRITTEN", "MACHINE", "ENGLISH"),
        help="how many sentences of each kind a picture is fitted with, at most (5 5 5)",
    )
    parser.add_argument("--views", type=int, default=3, help="views of each picture: the whole one and random parts")
    parser.add_argument("--classes", type=Path, help="a second folder, to report names of classes on")
    parser.add_argument("--report", action="store_true", help="measure --out on dev and write its card only")
    options = parser.parse_args(arguments)
    if options.views < 1:
        parser.error("--views is 1 or more")
    if min(options.sentences) < 0 or sum(options.sentences[:2]) < 1 or options.sentences[2] < 1:
        parser.error("--sentences takes at least one Chinese and one English sentence")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Fit, write, measure; returned is the exit code."""
    options = parse(arguments)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            cache = options.cache or Path(temporary)
            model = open_embedder(str(options.model.absolute()))
            features, vectors = KeptFeatures(cache, note), KeptVectors(cache, model, note)
            recipe = Recipe(seed=options.seed)
            if not options.report:
                material, held = gather(options, features, vectors)
                tower = train(material, held, recipe)
                write_tower(options.out, tower, material.known, model.spec, features.digest())
                shutil.copytree(LICENCES, options.out / "LICENSES", dirs_exist_ok=True)
            asked = Asked(options.out, options.data, options.classes, options.sentences, options.views, recipe)
            write_card(asked, model, features, vectors)
    except RetrievalError as error:
        note(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
