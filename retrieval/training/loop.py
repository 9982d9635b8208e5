"""The training loop: heads, the end of the image tower and the upper half of the text tower together."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.training.features import ImageFeatures
from retrieval.training.hubs import Towers
from retrieval.training.losses import contrastive, hardest, keeping, naming, softened
from retrieval.training.model import Ids, Starter

REFRESH = 6
"""Steps between two computations of the class table."""
FULL_STOP = 1012
"""Token id of "." in the vocabulary of MiniLM."""


class Recipe(NamedTuple):
    """What a run is made of; rates are the peaks of a one-cycle schedule (Smith and Topin, 2018).

    `epochs` is the length of the schedule; a `stop` other than 0 ends the run after that many. `names` is how many
    class names a step learns. `soft` is the share of the loss with soft targets, of temperature `heat`; `cell_drop` the
    chance that a cell of the picture is left out of the mean.
    """

    epochs: int = 10
    batch: int = 256
    captions: int = 2
    head_rate: float = 1e-3
    image_rate: float = 1e-4
    text_rate: float = 5e-5
    decay: float = 0.1
    average: float = 0.98
    keep: float = 0.2
    hard: float = 0.0
    names: int = 0
    naming: float = 0.25
    stop: int = 0
    soft: float = 0.0
    heat: float = 0.05
    cell_drop: float = 0.0
    shorten: float = 0.1
    drop_words: float = 0.1
    seed: int = 0


class Material(NamedTuple):
    """What is trained on.

    `views` holds features of the same n pictures, whole and in random parts; `before` (n, 1000) the class logits of
    the whole pictures before training; `captions[i]` the token ids of picture i's captions; `prompts` those of the
    sentences the class table is made of; `names[k]` those of other ways to say what class k is. `meanings[i]`
    (captions, width) are vectors of picture i's captions by a teacher; without them there are no soft targets.
    """

    views: list[ImageFeatures]
    before: Tensor
    captions: list[Ids]
    prompts: Ids
    names: list[Ids]
    meanings: list[Tensor] | None = None


def vary(ids: list[int], rng: np.random.Generator, recipe: Recipe) -> list[int]:
    """A caption as someone might type it: without its full stop, in part, or with words missing."""
    words = ids[1:-1]
    if words and words[-1] == FULL_STOP and rng.random() < 0.5:
        words = words[:-1]
    if rng.random() < recipe.shorten and len(words) > 3:
        length = int(rng.integers(2, len(words)))
        start = int(rng.integers(0, len(words) - length + 1))
        words = words[start : start + length]
    kept = [w for w in words if rng.random() >= recipe.drop_words] or words
    return [ids[0], *kept, ids[-1]]


class Batch(NamedTuple):
    """A step's input: maps (n, 208, cells), shallow (n, 560), `before` (n, 1000), ids of n * captions texts.

    `name_ids` say in some way what the classes `named` (m,) are. `likeness` (n, n * captions) is how alike the captions
    of a picture and a caption of the batch are.
    """

    maps: Tensor
    shallow: Tensor
    before: Tensor
    ids: list[list[int]]
    name_ids: list[list[int]]
    named: Tensor
    likeness: Tensor | None


def batches(material: Material, recipe: Recipe, rng: np.random.Generator) -> Iterator[Batch]:
    """One epoch: every picture once (but for the rest of the division), in a random view, with random captions."""
    count = len(material.captions)
    order = rng.permutation(count)
    for at in range(0, count - recipe.batch + 1, recipe.batch):
        rows = order[at : at + recipe.batch]
        views = rng.integers(0, len(material.views), len(rows))
        maps = np.stack([material.views[v].maps[i] for v, i in zip(views, rows, strict=True)])
        shallow = np.stack([material.views[v].shallow[i] for v, i in zip(views, rows, strict=True)])
        ids: list[list[int]] = []
        chosen: list[tuple[int, int]] = []
        for i in rows:
            own = material.captions[i]
            picked = rng.choice(len(own), recipe.captions, replace=len(own) < recipe.captions)
            ids += [vary(list(own[j]), rng, recipe) for j in picked]
            chosen += [(int(i), int(j)) for j in picked]
        tensors = (torch.from_numpy(maps).float(), torch.from_numpy(shallow).float())
        named = rng.permutation(len(material.names))[: recipe.names] if recipe.names else rows[:0]
        name_ids = [list(material.names[k][rng.integers(len(material.names[k]))]) for k in named]
        before = material.before[torch.from_numpy(rows)]
        yield Batch(*tensors, before, ids, name_ids, torch.from_numpy(named), likeness(material, rows, chosen))


def likeness(material: Material, rows: Iterable[int], chosen: Iterable[tuple[int, int]]) -> Tensor | None:
    """How alike the captions of each picture of `rows` are, together, and each `chosen` (picture, caption)."""
    if material.meanings is None:
        return None
    pictures = torch.stack([functional.normalize(material.meanings[i].mean(dim=0), dim=0) for i in rows])
    return pictures @ torch.stack([material.meanings[i][j] for i, j in chosen]).T


def optimiser(model: Starter, recipe: Recipe, steps: int) -> tuple[torch.optim.Optimizer, Callable[[], None]]:
    """AdamW with a rate per part of the model, and what moves its schedule on by one step."""
    parts: list[tuple[nn.Module, float]] = [
        (model.image_head, recipe.head_rate),
        (model.text_head, recipe.head_rate),
        (model.tail, recipe.image_rate),
        (model.tower, recipe.text_rate),
    ]
    groups: list[dict[str, object]] = [{"params": [model.log_scale], "weight_decay": 0.0, "lr": recipe.head_rate}]
    for part, rate in parts:
        decay = recipe.decay if rate == recipe.head_rate else 0.0
        trained = [p for p in part.parameters() if p.requires_grad]
        groups.append({"params": [p for p in trained if p.ndim > 1], "weight_decay": decay, "lr": rate})
        groups.append({"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0, "lr": rate})
    adam = torch.optim.AdamW([g for g in groups if g["params"]])
    rates = [group["lr"] for group in adam.param_groups]
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, rates, total_steps=steps, pct_start=0.2)
    return adam, cycle.step


def freeze(model: Starter, recipe: Recipe) -> None:
    """Exclude what a run does not train: rates of 0, and the lower part of the text tower."""
    model.tail.requires_grad_(recipe.image_rate > 0)
    model.tower.requires_grad_(False)
    model.tower.trained().requires_grad_(recipe.text_rate > 0)


def fit(model: Starter, material: Material, recipe: Recipe, after_epoch: Callable[[int, float, Starter], None]) -> None:
    """Train `model` in place.

    `after_epoch(epoch, loss, averaged)` sees the running average of the weights (Polyak and Juditsky, 1992), which
    is what should be kept: copy it if this epoch is the best so far. Same seed, same threads: same weights.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    freeze(model, recipe)
    per_epoch = len(material.captions) // recipe.batch
    adam, advance = optimiser(model, recipe, max(1, per_epoch * recipe.epochs))
    averaged = copy.deepcopy(model).eval()
    step = 0
    for epoch in range(1, (recipe.stop or recipe.epochs) + 1):
        total = 0.0
        for batch in batches(material, recipe, rng):
            if step % REFRESH == 0:
                table = class_table(model, material.prompts)
            model.train()
            loss = batch_loss(model, batch, table, recipe)
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            adam.step()
            advance()
            step += 1
            average(averaged, model, min(recipe.average, (1 + step) / (10 + step)))
            total += loss.item()
        after_epoch(epoch, total / max(1, per_epoch), averaged)


def batch_loss(model: Starter, batch: Batch, table: Tensor, recipe: Recipe) -> Tensor:
    """The loss of one step."""
    seen = model.image(batch.maps, batch.shallow, table, recipe.cell_drop)
    texts = model.text(batch.ids + batch.name_ids)
    similarity = seen.vectors @ texts[: len(batch.ids)].T
    scale = model.log_scale.clamp(max=math.log(100)).exp()
    loss = contrastive(similarity, scale, recipe.captions)
    if recipe.soft and batch.likeness is not None:
        loss = loss.lerp(softened(similarity, scale, batch.likeness, recipe.heat), recipe.soft)
    if len(batch.named):
        loss = loss + recipe.naming * naming(texts[len(batch.ids) :] @ table.T, scale, batch.named)
    if recipe.keep and recipe.image_rate:
        loss = loss + recipe.keep * keeping(seen.logits, batch.before)
    if recipe.hard:
        loss = loss + recipe.hard * hardest(similarity, recipe.captions)
    return loss


@torch.no_grad()
def class_table(model: Towers, prompts: Ids) -> Tensor:
    """The class table (1000, dim), rows of length 1, of the model as it is; no gradient passes it."""
    model.eval()
    return model.table(prompts)


@torch.no_grad()
def average(averaged: Starter, model: Starter, weight: float) -> None:
    """Move the running average towards the model by 1 - `weight`."""
    for kept, new in zip(averaged.parameters(), model.parameters(), strict=True):
        if new.requires_grad:
            kept.lerp_(new, 1 - weight)
