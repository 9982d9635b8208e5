"""Make the built-in model from its pretrained parts: `python -m retrieval.training.starter --data FOLDER --out FOLDER`.

FOLDER of the data holds images/ and captions.tsv (image, split, caption) with the splits train, extra and dev; test is
only looked at by `--report`, after everything is decided.
"""

import argparse
import copy
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from retrieval.errors import RetrievalError
from retrieval.training.card import write_card
from retrieval.training.data import read_captions
from retrieval.training.export import Card, image_model, text_model, write_folder
from retrieval.training.features import ImageFeatures, image_features
from retrieval.training.hubs import MOST, Balanced, Banks, Towers, sample
from retrieval.training.image_tower import Weights, load_pretrained
from retrieval.training.loop import Material, Recipe, class_table, fit
from retrieval.training.measure import IntArray, Recall, recall
from retrieval.training.model import DIM, Ensemble, Ids, Starter, joint_axes, sentence_vectors
from retrieval.training.report import load_tokenizer
from retrieval.training.sources import Sources, clean_tokenizer, find_sources, prompt
from retrieval.training.tail import Tail
from retrieval.training.text_tower import load_minilm

CARD = Card(
    name="starter",
    version="2",
    description="Small English text and picture model for the processor: EfficientNet-Lite2 and MiniLM in one space.",
    knows="Trained on 6,086 captioned photographs (Flickr8k: people, dogs, sport, outdoors) and 1,000 ImageNet class "
    "names; weak at text in pictures, named people and places, counting, drawings and fine detail.",
)
MEMBERS = (
    (
        (0.6, Recipe(epochs=8, keep=0.2)),
        (0.4, Recipe(epochs=6, keep=0.3, names=64)),
    ),
)
"""The members of the model, each made of the runs whose weights are averaged, and their shares.

The runs of a member start from the same heads, each member from heads of its own. More than one member make an
ensemble; the card says what that gave.
"""
BLEND = 0.8
"""The class branch's part of the finished model; runs are trained with the 0.6 of :class:`~.model.Starter`."""
VIEWS = 6
"""Views of each training picture: the whole one and random parts of it."""


class Held(NamedTuple):
    """The pictures and captions a run is chosen by."""

    features: ImageFeatures
    captions: Ids
    owner: IntArray


class Inputs(NamedTuple):
    """All that training reads."""

    material: Material
    held: Held
    pretrained: Weights


def note(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def gather(data: Path, cache: Path, sources: Sources, seed: int) -> Inputs:
    """Read the data folder and compute what the untrained part of the image tower gives (kept in `cache`)."""
    tokenizer = load_tokenizer(sources.tokenizer)

    def ids(texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch(texts)]

    train, dev = read_captions(data, ["train", "extra"]), read_captions(data, ["dev"])
    pretrained = load_pretrained(sources.image_weights)
    paths = [data / "images" / name for name in train.names]
    views = []
    for view in range(VIEWS):
        note(f"features of {len(paths)} pictures, view {view + 1} of {VIEWS}")
        views.append(image_features(paths, pretrained, cache, view, seed))
    captions: list[list[list[int]]] = [[] for _ in train.names]
    for row, owner in zip(ids(train.captions), train.owner, strict=True):
        captions[owner].append(row)
    prompts = ids([prompt(name) for name in sources.classes])
    meanings = None
    if any(run.soft for runs in MEMBERS for _, run in runs):
        note(f"vectors of {len(train.captions)} captions by the teacher")
        teacher = load_minilm(sources.text_weights)
        meanings = [sentence_vectors(teacher, rows) for rows in captions]
    before = class_logits(views[0], pretrained)
    held = Held(
        image_features([data / "images" / n for n in dev.names], pretrained, cache), ids(dev.captions), dev.owner
    )
    names: list[Ids] = [ids(own) for own in sources.sayings]
    return Inputs(Material(views, before, list(captions), prompts, names, meanings), held, pretrained)


@torch.no_grad()
def class_logits(features: ImageFeatures, pretrained: Weights) -> Tensor:
    """Class logits (n, 1000) of the network as it was pretrained."""
    tail = Tail(pretrained).eval()
    weight, bias = (torch.from_numpy(pretrained[f"classes.{kind}"]) for kind in ("weight", "bias"))
    parts = []
    for at in range(0, len(features.maps), 128):
        maps = torch.from_numpy(np.array(features.maps[at : at + 128])).float()
        parts.append(tail(maps).mean(dim=2).T @ weight.T + bias)
    return torch.cat(parts)


@torch.no_grad()
def picture_vectors(model: Towers, features: ImageFeatures, prompts: Ids) -> Tensor:
    """Vectors (n, width) of pictures by their features."""
    table = class_table(model, prompts)
    images = []
    for at in range(0, len(features.maps), 128):
        maps, shallow = (torch.from_numpy(np.array(a[at : at + 128])).float() for a in features)
        images.append(model.image(maps, shallow, table).vectors)
    return torch.cat(images)


@torch.no_grad()
def measure(model: Towers, held: Held, prompts: Ids) -> Recall:
    """Recall of the model on what is held out for choosing."""
    images = picture_vectors(model, held.features, prompts)
    return recall((images @ model.text(held.captions).T).numpy(), held.owner)


def train(inputs: Inputs, sources: Sources, recipe: Recipe) -> Starter:
    """Run the recipe; returned are the averaged weights of the epoch that does best on the dev split.

    Measured are the epochs from the middle on: before it the rates are too high for the best.
    """
    torch.manual_seed(recipe.seed)
    model = Starter(Tail(inputs.pretrained), load_minilm(sources.text_weights), inputs.pretrained)
    best: list[Starter] = []
    totals: list[float] = []

    def after_epoch(epoch: int, loss: float, averaged: Starter) -> None:
        if 2 * epoch < recipe.epochs:
            note(f"epoch {epoch}: loss {loss:.3f}")
            return
        found = measure(averaged, inputs.held, inputs.material.prompts)
        figures = " ".join(f"{value:.1f}" for value in found.text_to_image + found.image_to_text)
        note(f"epoch {epoch}: loss {loss:.3f}, dev {figures}")
        if not totals or found.total > max(totals):
            best[:] = [copy.deepcopy(averaged)]
        totals.append(found.total)

    fit(model, inputs.material, recipe, after_epoch)
    return best[0]


@torch.no_grad()
def blend(models: list[tuple[float, Starter]]) -> Starter:
    """One model with the weighted average of the weights (Wortsman et al., "Model soups", ICML 2022).

    The runs must have started from the same weights.
    """
    made = copy.deepcopy(models[0][1])
    states = [(share, model.state_dict()) for share, model in models]
    made.load_state_dict({name: sum(share * state[name] for share, state in states) for name in states[0][1]})
    made.blend = BLEND
    return made


@torch.no_grad()
def join(members: list[Starter], material: Material) -> Starter | Ensemble:
    """One model of all members; its axes are those that the training data and the names of the classes use most."""
    if len(members) == 1:
        return members[0]
    whole = Ensemble(members, torch.eye(DIM * len(members))).eval()
    images = picture_vectors(whole, material.views[0], material.prompts)
    texts = whole.text([*(own[0] for own in material.captions), *(own[0] for own in material.names)])
    return Ensemble(members, joint_axes(images, texts)).eval()


@torch.no_grad()
def balance(model: Starter | Ensemble, material: Material, seed: int) -> Balanced:
    """The model corrected by banks of the whole training pictures, a caption of each, and the names of the classes."""
    rng = np.random.default_rng(seed)
    own = [captions[int(rng.integers(len(captions)))] for captions in material.captions]
    places = sample(len(own), MOST, seed)
    images = picture_vectors(model, material.views[0], material.prompts)[places]
    banks = Banks(images, model.text([own[i] for i in places]), model.text(material.prompts))
    return Balanced(model, *banks.correction()).eval()


def export(model: Towers, inputs: Inputs, sources: Sources, folder: Path) -> None:
    """Write the model folder without its card."""
    table = class_table(model, inputs.material.prompts)
    image = image_model(model, inputs.pretrained, table)
    write_folder(folder, image, text_model(model), clean_tokenizer(sources.tokenizer), sources.classes, CARD)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.training.starter", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and captions.tsv")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--cache", type=Path, help="keep computed features here (1.3 GB)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classes", type=Path, help="a second folder, to report class retrieval on")
    parser.add_argument("--report", action="store_true", help="measure --out on dev and test and write its card only")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Train, export, measure; returned is the exit code."""
    options = parse(arguments)
    try:
        if not options.report:
            sources = find_sources()
            with tempfile.TemporaryDirectory() as temporary:
                cache = options.cache or Path(temporary)
                inputs = gather(options.data, cache, sources, options.seed)
                found = [
                    blend([(share, train(inputs, sources, run._replace(seed=seed))) for share, run in runs])
                    for seed, runs in enumerate(MEMBERS, options.seed)
                ]
                joined = join(found, inputs.material)
                note("vectors of the banks that hubs are told by")
                export(balance(joined, inputs.material, options.seed), inputs, sources, options.out)
        write_card(options.out, options.data, options.classes)
    except RetrievalError as error:
        note(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
