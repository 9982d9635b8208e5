"""Drawn pictures in splits, small models, and a watch that remembers."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.training.drawings import COLOURS, SHAPES, drawing


class Toy(NamedTuple):
    """A folder of drawn pictures, and their captions: three of each kind to learn from, one held out."""

    images: Path
    captions: Path


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Forty-eight pictures, four of each of twelve kinds, with two captions each; test is there and never looked at."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "images").mkdir()
    rows = []
    for colour in COLOURS:
        for shape in SHAPES:
            for at, split in enumerate(("train", "train", "train", "dev")):
                name = f"{colour}-{shape}-{at}.png"
                drawing(colour, shape, side=40, shift=2 * at - 3).save(folder / "images" / name)
                rows += [f"{name}\t{split}\tA {colour} {shape} .", f"{name}\t{split}\ta {shape} in {colour} here {at}"]
    rows.append("red-disc-unseen.png\ttest\tA red disc .")
    (folder / "captions.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return Toy(folder / "images", folder / "captions.tsv")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small OpenCLIP model of random weights, as a folder."""
    pytest.importorskip("open_clip")
    from tests.embedding.clip_makers import write_clip_folder

    return write_clip_folder(tmp_path_factory.mktemp("clip") / "model")


@pytest.fixture(scope="session")
def small_starter(tmp_path_factory: pytest.TempPathFactory, weights, words) -> Path:
    """A model folder of the starter's kind: its trunk with random weights, a text tower of four layers, a correction
    for hubs.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from retrieval.training.export import Card, image_model, text_model, write_folder
    from retrieval.training.loop import class_table
    from retrieval.training.model import Starter
    from retrieval.training.tail import Tail
    from retrieval.training.text_tower import FROZEN, TextTower
    from tests.training.conftest import CLASSES
    from tests.training.test_reload import tokenizer_json
    from tests.training.test_towers import make_balanced

    torch.manual_seed(3)
    torch.set_num_threads(1)
    model = make_balanced(Starter(Tail(weights), TextTower(FROZEN + 1, len(words), 64), weights).eval())
    table = class_table(model, [[1, 3 + i % (len(words) - 3), 2] for i in range(CLASSES)])
    names = [list(words)[3 + i % (len(words) - 3)] for i in range(CLASSES)]
    folder = tmp_path_factory.mktemp("starter") / "model"
    card = Card("small", "1", "A test.", "Nothing.")
    write_folder(folder, image_model(model, weights, table), text_model(model), tokenizer_json(words), names, card)
    return folder


class Notes:
    """Keeps what a run says; asks it to stop once it has taken ``until`` steps."""

    def __init__(self, until: int | None = None) -> None:
        self.lines: list[str] = []
        self.steps: list[int] = []
        self._until = until

    def watch(self):
        from retrieval.training.finetune.fit import Watch

        return Watch(
            self.lines.append,
            lambda progress: self.steps.append(progress.step),
            lambda what, done, total: None,
            lambda: self._until is not None and len(self.steps) >= self._until,
        )


FAST = {
    "batch": 12, "epochs": 4, "captions": 1, "warm_up": 0.1, "flip": 0.0, "device": "cpu",
    "head_rate": 1e-3, "image_rate": 1e-3, "text_rate": 1e-3,
}  # fmt: skip


def tuned(toy: Toy, out: Path, until: int | None = None, *, resume: bool = False, cache: Path | None = None, **given):
    """Run with quick knobs and return what came of it."""
    from retrieval.training.finetune.run import Request, tune

    knobs = {} if resume else dict(FAST)
    return tune(Request(toy.images, toy.captions, out, {**knobs, **given}, resume, cache), Notes(until).watch())


def curve(run: Path) -> list[dict[str, object]]:
    """The metrics of a run without what a clock said."""
    from retrieval.training.finetune.metrics import read

    return [{key: value for key, value in line.items() if key != "seconds"} for line in read(run)]


def losses(run: Path) -> list[float]:
    """The loss of each step."""
    return [float(line["loss"]) for line in curve(run) if "loss" in line]
