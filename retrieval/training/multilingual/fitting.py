"""Fits the head of the second text tower to a space that stays as it is.

Two teachers, both fixed: the pictures (a contrastive loss), and the model's own vectors of the English captions, which
the vectors of sentences in both languages should equal (Reimers and Gurevych, "Making Monolingual Sentence Embeddings
Multilingual using Knowledge Distillation", EMNLP 2020).
"""

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.embedding.characters import pieces
from retrieval.training.losses import contrastive
from retrieval.training.measure import FloatArray, IntArray
from retrieval.training.model import Head

_ALIKE = 1e-3
"""The most by which numbers may differ that count as one."""
FEWEST = 10
"""Sentences in which a character or pair must stand to get numbers of its own."""


class Recipe(NamedTuple):
    """What a run is made of; `rate` is the peak of a one-cycle schedule (Smith and Topin, 2018).

    A step sees `batch` pictures with `written`, `machine` and `english` sentences each, and `names` names of classes.
    `near` weighs the distance to the teacher's vectors, `alike` the ranking among them, `named` the distance of names.
    Each Chinese character or pair has `signs` numbers, and is left out of a sentence with the chance `forget`.
    """

    epochs: int = 20
    batch: int = 512
    written: int = 3
    machine: int = 1
    english: int = 1
    names: int = 128
    rate: float = 3e-3
    decay: float = 0.1
    dropout: float = 0.5
    hidden: int = 1024
    signs: int = 128
    forget: float = 0.3
    average: float = 0.98
    near: float = 2.0
    alike: float = 0.5
    named: float = 1.0
    seed: int = 0

    def told(self) -> tuple[int, int, int]:
        """How many sentences of each kind a step sees of a picture: by people, by machine, English."""
        return self.written, self.machine, self.english


class Sentences(NamedTuple):
    """Sentences of one kind: features (m, width), the picture of each, and the teacher's vectors (m, dim).

    `characters` (m, most) are places in the list of those that are known, filled up with its length.
    """

    features: FloatArray
    owner: IntArray
    taught: FloatArray
    characters: IntArray


class Material(NamedTuple):
    """What is fitted: vectors of n pictures in several views, sentences, and names with the teacher's vectors.

    Chinese sentences are those that people wrote and those that a machine translated; there may be none of a kind.
    `known` are the Chinese characters and pairs that get numbers of their own.
    """

    views: list[FloatArray]
    written: Sentences
    machine: Sentences
    english: Sentences
    names: FloatArray
    names_taught: FloatArray
    known: Sequence[str] = ()


def frequent(texts: Iterable[str]) -> list[str]:
    """Chinese characters and pairs that stand in at least `FEWEST` of the texts, sorted."""
    counted = Counter(piece for text in texts for piece in pieces(text))
    return sorted(piece for piece, count in counted.items() if count >= FEWEST)


class Tower(nn.Module):
    """Features less their mean, and Chinese characters, then a head: to (n, dim), rows of length 1.

    Cosines of the features all lie near 0.8, since they share one large direction; without it they spread. Numbers
    that all vectors of the model's own text tower have in common, such as those its pictures' hub correction is
    multiplied by, are given as they are; the head finds the others.
    """

    def __init__(self, mean: FloatArray, shared: FloatArray, recipe: Recipe, known: int = 0) -> None:
        """Make a head of random weights for features around `mean` (width,), and `known` characters and pairs.

        `shared` (dim,) holds the numbers in common, NaN for one that varies (see :func:`in_common`).
        """
        super().__init__()
        free = np.isnan(shared)
        kept = np.where(free, 0, shared).astype(np.float32)
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("free", torch.from_numpy(free.astype(np.float32)))
        self.register_buffer("shared", torch.from_numpy(kept))
        self.length = math.sqrt(max(0.0, 1 - float(kept @ kept)))
        self.known, self.forget = known, recipe.forget
        self.table = nn.Embedding(known + 1, recipe.signs, padding_idx=known) if known else None
        if self.table is not None:
            with torch.no_grad():
                self.table.weight.mul_(0.1)
        groups = (len(mean), recipe.signs) if known else (len(mean),)
        self.head = Head(groups, len(shared), recipe.hidden, recipe.dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.05)))

    def forward(self, features: Tensor, characters: Tensor) -> Tensor:
        """Features (n, width) and places of characters (n, most) to vectors (n, dim)."""
        # Scaled, since the epsilon of the layer norm is not meant for differences of unit vectors.
        groups = [(features - self.get_buffer("mean")) * math.sqrt(features.shape[1])]
        if self.table is not None:
            if self.training and self.forget:
                characters = torch.where(torch.rand(characters.shape) < self.forget, self.known, characters)
            groups.append(self.table(characters).sum(dim=1))
        found = functional.normalize(self.head(*groups) * self.get_buffer("free"), dim=1)
        return found * self.length + self.get_buffer("shared")


def in_common(vectors: FloatArray) -> FloatArray:
    """The numbers (dim,) that all vectors (n, dim) have in common, NaN for those that vary."""
    spread = np.ptp(vectors, axis=0)
    found: FloatArray = np.where(spread < _ALIKE, vectors.mean(axis=0), np.nan).astype(np.float32)
    return found


class Batch(NamedTuple):
    """A step's input: pictures (n, dim), features and teacher's vectors of n * captions sentences, and of names."""

    pictures: Tensor
    features: Tensor
    characters: Tensor
    taught: Tensor
    captions: int
    names: Tensor
    names_taught: Tensor


def batches(material: Material, recipe: Recipe, rng: np.random.Generator) -> Iterator[Batch]:
    """One epoch: every picture once (but for the rest of the division), in a random view, with random sentences."""
    kinds = zip((material.written, material.machine, material.english), recipe.told(), strict=True)
    groups = [(sentences, count) for sentences, count in kinds if count and len(sentences.owner)]
    own = [_by_picture(sentences.owner, len(material.views[0])) for sentences, _ in groups]
    told = np.flatnonzero([all(len(rows[i]) for rows in own) for i in range(len(material.views[0]))])
    order = rng.permutation(told)
    size = min(recipe.batch, len(order))
    for at in range(0, len(order) - size + 1, size):
        rows = order[at : at + size]
        view = rng.integers(0, len(material.views), len(rows))
        features, characters, taught = [], [], []
        for (sentences, count), places in zip(groups, own, strict=True):
            picked = [rng.choice(places[i], count, replace=len(places[i]) < count) for i in rows]
            features.append(sentences.features[picked])
            characters.append(sentences.characters[picked])
            taught.append(sentences.taught[picked])
        some = rng.permutation(len(material.names))[: recipe.names]
        yield Batch(
            torch.from_numpy(np.stack([material.views[v][i] for v, i in zip(view, rows, strict=True)])),
            torch.from_numpy(np.concatenate(features, axis=1)).flatten(0, 1),
            torch.from_numpy(np.concatenate(characters, axis=1)).flatten(0, 1),
            torch.from_numpy(np.concatenate(taught, axis=1)).flatten(0, 1),
            sum(count for _, count in groups),
            torch.from_numpy(material.names[some]),
            torch.from_numpy(material.names_taught[some]),
        )


def _by_picture(owner: IntArray, count: int) -> list[IntArray]:
    """The places of each picture's sentences."""
    order = np.argsort(owner, kind="stable")
    return np.split(order, np.searchsorted(owner[order], np.arange(1, count)))


def batch_loss(tower: Tower, batch: Batch, recipe: Recipe) -> Tensor:
    """The loss of one step."""
    none = torch.full((len(batch.names), batch.characters.shape[1]), tower.known)
    texts = tower(torch.cat([batch.features, batch.names]), torch.cat([batch.characters, none]))
    texts, names = texts[: len(batch.features)], texts[len(batch.features) :]
    scale = tower.log_scale.clamp(max=math.log(100)).exp()
    loss = contrastive(batch.pictures @ texts.T, scale, batch.captions)
    if recipe.near:
        loss = loss + recipe.near * (1 - (texts * batch.taught).sum(dim=1)).mean()
    if recipe.alike:
        taught = batch.taught.view(len(batch.pictures), batch.captions, -1).mean(dim=1)
        loss = loss + recipe.alike * contrastive(functional.normalize(taught, dim=1) @ texts.T, scale, batch.captions)
    if recipe.named and len(names):
        loss = loss + recipe.named * (1 - (names * batch.names_taught).sum(dim=1)).mean()
    return loss


def fit(material: Material, recipe: Recipe, after_epoch: Callable[[int, float, Tower], None]) -> None:
    """Fit a tower; same seed, same threads: same weights.

    `after_epoch(epoch, loss, averaged)` sees the running average of the weights (Polyak and Juditsky, 1992), which
    is what should be kept: copy it if this epoch is the best so far.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    kinds = (material.written, material.machine, material.english)
    mean = np.concatenate([sentences.features for sentences in kinds]).mean(axis=0)
    shared = in_common(np.concatenate([material.english.taught, material.names_taught]))
    tower = Tower(mean, shared, recipe, len(material.known))
    averaged = copy.deepcopy(tower).eval()
    decayed = [p for p in tower.parameters() if p.ndim > 1]
    others = [p for p in tower.parameters() if p.ndim <= 1]
    adam = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}], lr=recipe.rate
    )
    steps = sum(1 for _ in batches(material, recipe, np.random.default_rng(0))) * recipe.epochs
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, recipe.rate, total_steps=max(1, steps), pct_start=0.2)
    step = 0
    for epoch in range(1, recipe.epochs + 1):
        losses = []
        tower.train()
        for batch in batches(material, recipe, rng):
            loss = batch_loss(tower, batch, recipe)
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            cycle.step()
            step += 1
            _average(averaged, tower, min(recipe.average, (1 + step) / (10 + step)))
            losses.append(loss.item())
        after_epoch(epoch, float(np.mean(losses)), averaged)


@torch.no_grad()
def _average(averaged: Tower, tower: Tower, weight: float) -> None:
    for kept, new in zip(averaged.parameters(), tower.parameters(), strict=True):
        kept.lerp_(new, 1 - weight)


@torch.no_grad()
def vectors_of(tower: Tower, features: FloatArray, characters: IntArray) -> FloatArray:
    """Vectors (n, dim) of features (n, width) and characters (n, most) by a tower that is not being fitted."""
    parts = [
        tower(torch.from_numpy(features[at : at + 1024]), torch.from_numpy(characters[at : at + 1024])).numpy()
        for at in range(0, len(features), 1024)
    ]
    found: FloatArray = np.concatenate(parts)
    return found
