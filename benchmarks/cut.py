"""Measures whether ``--cut auto`` tells queries with an answer from those without one.

    python -m benchmarks.cut FLICKR8K CALTECH101 [--split test] [--half 1] [--model starter] [--plot ROC.svg]

Both folders hold ``images/`` and ``captions.tsv`` (image, split, caption). The collection is what is left of the split
when every picture is taken out that any caption says shows one of the things of ``half`` (about half of all; see
``retrieval/training/relevance/material.py``; the cut is fitted with the things of the other half, on other pictures).
Asked are, through the searcher:

- *there*: 200 captions of pictures in the collection, one a picture;
- *not there*: up to 100 sentences that name a class of Caltech-101 which no caption of the split mentions (nor is
  anything fitted with these names), and as many captions as make 200 with them, each about one of the things taken out,
  one a picture;
- *nonsense*: 100 strings, in turn random letters, syllables, runs of keys, rare words, code and numbers.

``detected``: the share of *there* that is answered when 5 % of *not there* are; ``at_its_own_threshold``: the same
figures where ``--cut auto`` itself draws the line. Intervals are 95 % Wilson intervals. All is measured twice: with the
statistics that come with the model, and by comparison alone, as for a model that brings none.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from indexer import index
from retrieval import Collection, Searcher, open_embedder
from retrieval.config import Cut, SearchOptions
from retrieval.embedding import model_folder
from retrieval.ranking import expected_calibration_error
from retrieval.search.statistics import BACKGROUND, NUMBERS
from retrieval.training.data import read_captions
from retrieval.training.relevance.draws import unsaid
from retrieval.training.relevance.material import ABOUT, THINGS, names_thing, nonsense
from retrieval.types import Part, Query

SEED = 2024
FALSE_ALARMS = 0.05
HITS = 20


Chances = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of queries that are there, and of those that are not."""


class Questions(NamedTuple):
    """The collection's pictures, and the queries; ``pictures`` is that of each of ``there``."""

    collection: list[str]
    there: list[str]
    pictures: list[str]
    things: list[str]
    names: list[str]
    nonsense: list[str]


class Answers(NamedTuple):
    """What came of some queries: the chance that there is an answer, whether it was answered, and how many hits."""

    chances: NDArray[np.float64]
    answered: NDArray[np.bool_]
    hits: list[list[str]]


def questions(flickr: Path, caltech: Path, split: str, half: int) -> Questions:
    """Choose them, the same ones each time."""
    rng = np.random.default_rng(SEED)
    found = read_captions(flickr, [split])
    told: dict[str, list[str]] = {name: [] for name in found.names}
    for caption, owner in zip(found.captions, found.owner, strict=True):
        told[found.names[owner]].append(caption)
    finders = [names_thing(words) for words in THINGS[half].values()]
    removed = {name for name, some in told.items() if any(one.search(caption) for one in finders for caption in some)}
    left = [name for name in told if name not in removed]
    about: dict[str, list[str]] = {}
    for name in sorted(removed):
        for finder in finders:
            naming = [caption for caption in told[name] if finder.search(caption)]
            if len(naming) >= ABOUT:
                about.setdefault(name, []).extend(naming)
    asked = [str(name) for name in rng.choice(left, 200, replace=False)]
    classes = sorted(set(read_captions(caltech, ["test"]).captions))
    names = {caption.removeprefix("a photo of a ").rstrip("."): caption for caption in classes}
    absent = unsaid(list(names), list(told.values()))
    absent = sorted(str(name) for name in rng.choice(absent, min(100, len(absent)), replace=False))
    pictured = rng.choice(sorted(about), 200 - len(absent), replace=False)
    return Questions(
        left,
        [str(rng.choice(told[name])) for name in asked],
        asked,
        [str(rng.choice(about[name])) for name in pictured],
        [names[name] for name in absent],
        nonsense(100, SEED, 1),
    )


def ask(searcher: Searcher, texts: Sequence[str]) -> Answers:
    """Ask each text with the cut."""
    options = SearchOptions(cut=Cut("auto", FALSE_ALARMS))
    chances, answered, hits = [], [], []
    for text in texts:
        found = searcher.search(Query((Part("text", text),)), HITS, options)
        if found.cut is None or found.cut.chance is None:
            raise SystemExit(" ".join(found.notes))
        chances.append(found.cut.chance)
        answered.append(found.cut.relevant)
        hits.append([Path(hit.path).name for hit in found.hits])
    return Answers(np.array(chances), np.array(answered), hits)


def roc(yes: NDArray[np.float64], no: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the rates of false alarms and of detection at all thresholds, and the area under the curve."""
    levels = np.unique(np.concatenate([yes, no, [-1.0]]))[::-1]
    alarms = np.array([(no > level).mean() for level in levels])
    detected = np.array([(yes > level).mean() for level in levels])
    area = float((yes[:, None] > no[None]).mean() + 0.5 * (yes[:, None] == no[None]).mean())
    return alarms, detected, area


def share(of: NDArray[np.bool_]) -> dict[str, object]:
    """Return a share in per cent with its 95 % Wilson interval."""
    z, count, part = 1.96, len(of), float(of.mean())
    middle = (part + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(part * (1 - part) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return {
        "per_cent": round(100 * part, 1),
        "interval_95": [round(100 * max(0.0, middle - half), 1), round(100 * min(1.0, middle + half), 1)],
    }


def measure(asked: Questions, searcher: Searcher) -> tuple[dict[str, object], Chances]:
    """Ask everything and put the figures together; also returned are the chances of there and not there."""
    there, things, names, blank = (
        ask(searcher, some) for some in (asked.there, asked.things, asked.names, asked.nonsense)
    )
    away = np.concatenate([things.chances, names.chances])
    level = float(np.sort(away)[::-1][int(FALSE_ALARMS * len(away))])
    own = np.array([name in hits for name, hits in zip(asked.pictures, there.hits, strict=True)])
    counted = np.concatenate([there.chances, away])
    true = np.arange(len(counted)) < len(there.chances)
    figures = {
        "auc": round(roc(there.chances, away)[2], 3),
        "auc_of_things_alone": round(roc(there.chances, things.chances)[2], 3),
        "at_5_per_cent_false_alarms": {
            "detected": share(there.chances > level),
            "false_alarms": share(away > level),
            "nonsense_not_answered": share(blank.chances <= level),
        },
        "at_its_own_threshold": {
            "detected": share(there.answered),
            "false_alarms": share(np.concatenate([things.answered, names.answered])),
            "false_alarms_of_things": share(things.answered),
            "false_alarms_of_names": share(names.answered),
            "nonsense_not_answered": share(~blank.answered),
        },
        "ece_of_chances": round(expected_calibration_error(counted, true), 3),
        "answered_with_the_very_picture_among_the_hits": share(own[there.answered]),
        "hits_kept_median": float(np.median([len(hits) for hits in there.hits if hits])),
    }
    return figures, (there.chances, away)


def timing(searcher: Searcher, texts: Sequence[str]) -> dict[str, float]:
    """Return what the cut adds to a search, in milliseconds (medians)."""
    found = {}
    for name, options in (("none", SearchOptions()), ("auto", SearchOptions(cut=Cut("auto", FALSE_ALARMS)))):
        times = []
        for text in texts:
            started = time.perf_counter()
            searcher.search(Query((Part("text", text),)), 10, options)
            times.append(time.perf_counter() - started)
        found[f"{name}_ms"] = round(1000 * float(np.median(times)), 1)
    return found


def plot(file: Path, curves: dict[str, Chances]) -> None:
    """Draw the ROC curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "cut"
    figure, axes = pyplot.subplots(figsize=(5, 4.5), layout="constrained")
    for (name, (yes, no)), colour in zip(curves.items(), ("#1f5aa6", "#c2702a"), strict=False):
        alarms, detected, area = roc(yes, no)
        axes.step(100 * alarms, 100 * detected, where="post", color=colour, label=f"{name}: AUC {area:.3f}")
    axes.plot([0, 100], [0, 100], color="#bbbbbb", linewidth=0.8)
    axes.axvline(100 * FALSE_ALARMS, color="#bbbbbb", linewidth=0.8, linestyle="--")
    axes.set(xlabel="answered though not there, %", ylabel="answered and there, %", xlim=(0, 100), ylim=(0, 100))
    axes.legend(loc="lower right", fontsize=9)
    figure.savefig(file, dpi=120, metadata={"Date": None} if file.suffix == ".svg" else None)


def without_statistics(model: str, folder: Path) -> Path:
    """Copy a model's folder without what it brings to judge relevance by."""
    source = model_folder(model)
    if source is None:
        raise SystemExit(f"{model} is not a folder")
    return Path(shutil.copytree(source, folder, ignore=shutil.ignore_patterns(NUMBERS, BACKGROUND)))


def ways(given: argparse.Namespace, asked: Questions, folder: Path) -> tuple[dict[str, object], dict[str, Chances]]:
    """Measure with statistics and without."""
    media = folder / "media"
    media.mkdir()
    for name in asked.collection:
        (media / name).symlink_to((given.flickr / "images" / name).absolute())
    embedder = open_embedder(given.model)
    plain = open_embedder(str(without_statistics(given.model, folder / "plain")))
    figures: dict[str, object] = {}
    curves: dict[str, Chances] = {}
    with Collection.create(folder / "collection", embedder.spec) as collection:
        index(collection, embedder, [media])
        for name, used in (("with statistics", embedder), ("by comparison", plain)):
            searcher = Searcher(collection, used)
            figures[name], curves[name] = measure(asked, searcher)
            figures[f"{name}, time"] = timing(searcher, asked.there[:50])
    return figures, curves


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flickr", type=Path)
    parser.add_argument("caltech", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    asked = questions(given.flickr, given.caltech, given.split, given.half)
    with tempfile.TemporaryDirectory() as temporary:
        figures, curves = ways(given, asked, Path(temporary))
    if given.plot:
        plot(given.plot, curves)
    told = {
        "collection": len(asked.collection),
        "there": len(asked.there),
        "not_there": {"things": len(asked.things), "names": len(asked.names)},
        "nonsense": len(asked.nonsense),
    }
    print(json.dumps({"model": given.model, "split": given.split, **told, **figures, **machine()}, indent=1))


if __name__ == "__main__":
    main()
