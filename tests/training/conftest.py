"""Pictures the tests draw, and a small model of random weights around them."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.training.drawings import COLOURS, SHAPES, drawing

CLASSES = 20


class Drawn(NamedTuple):
    """A folder with images/ and captions.tsv of drawn pictures."""

    folder: Path
    names: list[str]


@pytest.fixture(scope="module", autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory):
    """Keep the user's caches out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
        yield


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Twelve pictures (four colours, three shapes) with two captions each."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "images").mkdir()
    rows, names = [], []
    for colour in COLOURS:
        for shape in SHAPES:
            name = f"{colour}-{shape}.png"
            drawing(colour, shape).save(folder / "images" / name)
            names.append(name)
            rows += [f"{name}\ttrain\tA {colour} {shape} .", f"{name}\ttrain\tthere is a {shape} in {colour} here"]
    (folder / "captions.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return Drawn(folder, names)


@pytest.fixture(scope="session")
def weights() -> dict[str, np.ndarray]:
    """Random folded weights of the image tower, scaled so that signals neither die nor blow up."""
    pytest.importorskip("onnx")
    from retrieval.training.image_tower import BLOCKS, FEATURES

    rng = np.random.default_rng(7)
    made: dict[str, np.ndarray] = {}

    def put(name: str, out: int, into: int, kernel: int, gain: float) -> None:
        spread = np.sqrt(gain / (into * kernel * kernel))
        made[f"{name}.weight"] = rng.normal(0, spread, (out, into, kernel, kernel)).astype(np.float32)
        made[f"{name}.bias"] = rng.normal(0, 0.1, out).astype(np.float32)

    put("stem", 32, 3, 3, 2.0)
    for i, block in enumerate(BLOCKS):
        wide = block.channels_in * block.expand
        if block.expand != 1:
            put(f"{i}.expand", wide, block.channels_in, 1, 2.0)
        put(f"{i}.depthwise", wide, 1, block.kernel, 2.0)
        put(f"{i}.project", block.channels_out, wide, 1, 1.0)
    put("top", FEATURES, BLOCKS[-1].channels_out, 1, 2.0)
    made["classes.weight"] = rng.normal(0, 0.03, (CLASSES, FEATURES)).astype(np.float32)
    made["classes.bias"] = np.zeros(CLASSES, np.float32)
    return made


@pytest.fixture(scope="session")
def words() -> dict[str, int]:
    """A vocabulary for the drawings' captions; ids of the special tokens as in BERT are not needed here."""
    known = ["[PAD]", "[CLS]", "[SEP]", "a", "there", "is", "in", "here", ".", "photo", "of", *COLOURS, *SHAPES]
    return {word: number for number, word in enumerate(known)}


@pytest.fixture(scope="session")
def material(drawn: Drawn, weights: dict[str, np.ndarray], words: dict[str, int], tmp_path_factory):
    """Features of two views of the drawings and their captions' token ids."""
    torch = pytest.importorskip("torch")
    from retrieval.training.data import read_captions
    from retrieval.training.features import image_features
    from retrieval.training.loop import Material

    found = read_captions(drawn.folder, ["train"])
    paths = [drawn.folder / "images" / name for name in found.names]
    cache = tmp_path_factory.mktemp("cache")
    views = [image_features(paths, weights, cache, view) for view in (0, 1)]
    captions: list[list[list[int]]] = [[] for _ in found.names]
    for caption, owner in zip(found.captions, found.owner, strict=True):
        captions[owner].append([1, *(words[w] for w in caption.lower().split()), 2])
    prompts = [[1, words["a"], 3 + i % (len(words) - 3), 2] for i in range(CLASSES)]
    names = [[prompt, prompt[1:-1]] for prompt in prompts]
    return Material(views, torch.zeros(len(paths), CLASSES), captions, prompts, names)


@pytest.fixture
def make_model(weights: dict[str, np.ndarray], words: dict[str, int]):
    """A function that makes the same small model whenever it is called."""
    torch = pytest.importorskip("torch")
    from retrieval.training.model import Starter
    from retrieval.training.tail import Tail
    from retrieval.training.text_tower import FROZEN, TextTower

    def make() -> Starter:
        torch.manual_seed(3)
        tower = TextTower(layers=FROZEN + 1, vocabulary=len(words), positions=64)
        return Starter(Tail(weights), tower, weights)

    return make


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """One thread for torch, when it is there at all: results of a run depend on the number."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
