"""The two towers with their heads and the class branch, as they are trained."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.training.image_tower import FEATURES, SHALLOW_DIM, Weights
from retrieval.training.tail import Tail
from retrieval.training.text_tower import WIDTH, TextTower

DIM = 512
HIDDEN = 2048
NORM_EPSILON = 1e-5
Ids = Sequence[Sequence[int]]


class Head(nn.Module):
    """Layer norm of each group of features, then a linear map plus a GELU perceptron, to `dim`."""

    def __init__(self, groups: Sequence[int], dim: int = DIM, hidden: int = HIDDEN, dropout: float = 0.5) -> None:
        """Make a head of random weights for features of `groups` widths."""
        super().__init__()
        width = sum(groups)
        self.norms = nn.ModuleList(nn.LayerNorm(g, eps=NORM_EPSILON) for g in groups)
        self.linear = nn.Linear(width, dim)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, *groups: Tensor) -> Tensor:
        """Groups of features (n, width) to (n, dim), rows of length 1."""
        joined = torch.cat([norm(g) for norm, g in zip(self.norms, groups, strict=True)], dim=1)
        out = self.linear(joined) + self.down(self.dropout(functional.gelu(self.up(joined))))
        return functional.normalize(out, dim=1)


class Seen(NamedTuple):
    """What the image side gives: vectors (n, dim), rows of length 1, and class logits (n, 1000)."""

    vectors: Tensor
    logits: Tensor


class Starter(nn.Module):
    """Image and text tower into one space.

    The image vector is normalize(head(f) + blend * softmax(logits) @ table), where row k of `table` is the text
    vector of class k: a convex combination of semantic embeddings (Norouzi et al., ICLR 2014).
    """

    def __init__(self, tail: Tail, tower: TextTower, classifier: Weights, blend: float = 0.6) -> None:
        """Join a pretrained tail and text tower with heads of random weights."""
        super().__init__()
        self.tail = tail
        self.tower = tower
        self.image_head = Head((FEATURES, SHALLOW_DIM))
        self.text_head = Head((WIDTH,))
        self.blend = blend
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(1 / 0.07))))
        self.register_buffer("class_weight", torch.from_numpy(np.array(classifier["classes.weight"])))
        self.register_buffer("class_bias", torch.from_numpy(np.array(classifier["classes.bias"])))

    def image(self, maps: Tensor, shallow: Tensor, table: Tensor, drop: float = 0.0) -> Seen:
        """Maps (n, 208, cells), shallow features (n, 560) and the class table (1000, dim) to vectors and logits.

        A `drop` other than 0 leaves each cell out of the mean with that chance (for training).
        """
        cells = self.tail(maps)
        if drop:
            kept = (torch.rand(cells.shape[1:]) >= drop).float()
            cells = cells * (kept / kept.mean(dim=1, keepdim=True).clamp(min=1e-6))
        features = cells.mean(dim=2).T
        logits = functional.linear(features, self.get_buffer("class_weight"), self.get_buffer("class_bias"))
        guess = logits.softmax(dim=1) @ table
        vectors = self.image_head(features, shallow) + self.blend * guess
        return Seen(functional.normalize(vectors, dim=1), logits)

    def text(self, ids: Ids, chunk: int = 32) -> Tensor:
        """Token ids of n texts to (n, dim), rows of length 1; texts of like length are computed together."""
        return in_chunks(ids, chunk, self._text)

    def table(self, prompts: Ids) -> Tensor:
        """The class table (classes, dim) of the sentences that name the classes."""
        return self.text(prompts)

    def upper(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (n, t, width) of the lower text layers to (n, dim), rows of length 1."""
        states = self.tower.upper(states, mask)
        weight = mask[:, :, None].float()
        pooled = (states * weight).sum(dim=1) / weight.sum(dim=1)
        out: Tensor = self.text_head(pooled)
        return out

    def _text(self, ids: Ids) -> Tensor:
        padded, mask = pad(ids)
        with torch.no_grad():
            states = self.tower.lower(padded, mask)
        return self.upper(states, mask)


class Ensemble(nn.Module):
    """Several starters that share all that is never trained, in one space.

    A vector is normalize(concatenated member vectors @ mix): without `mix`, a cosine would be the mean of the members'
    cosines; `mix` (members * dim, dim) brings it back to `dim` numbers with hardly a change (see `joint_axes`).
    """

    def __init__(self, members: Sequence[Starter], mix: Tensor) -> None:
        """Join members, all made of the same pretrained parts."""
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("mix", mix)

    def image(self, maps: Tensor, shallow: Tensor, table: Tensor) -> Seen:
        """As :meth:`Starter.image`; `table` (1000, members * dim) is that of :meth:`table`, logits are the mean."""
        members = self.starters()
        tables = table.chunk(len(members), dim=1)
        seen = [member.image(maps, shallow, own) for member, own in zip(members, tables, strict=True)]
        return Seen(self._mixed([one.vectors for one in seen]), torch.stack([one.logits for one in seen]).mean(dim=0))

    def starters(self) -> list[Starter]:
        """The members."""
        return [member for member in self.members if isinstance(member, Starter)]

    def text(self, ids: Ids, chunk: int = 32) -> Tensor:
        """As :meth:`Starter.text`."""
        return in_chunks(ids, chunk, lambda some: self._mixed(self._texts(some)))

    def table(self, prompts: Ids) -> Tensor:
        """The members' class tables side by side: (classes, members * dim)."""
        return in_chunks(prompts, 32, lambda some: torch.cat(self._texts(some), dim=1))

    def _texts(self, ids: Ids) -> list[Tensor]:
        padded, mask = pad(ids)
        with torch.no_grad():
            states = self.starters()[0].tower.lower(padded, mask)
        return [member.upper(states, mask) for member in self.starters()]

    def _mixed(self, parts: Sequence[Tensor]) -> Tensor:
        return functional.normalize(torch.cat(list(parts), dim=1) @ self.get_buffer("mix"), dim=1)


def joint_axes(images: Tensor, texts: Tensor, dim: int = DIM) -> Tensor:
    """(width, dim): the axes that keep most of both sets of vectors, so that their cosines stay (uncentred PCA).

    Both sets count the same, however many rows they have.
    """
    moments = torch.stack([rows.T.double() @ rows.double() / len(rows) for rows in (images, texts)]).sum(dim=0)
    axes: Tensor = torch.linalg.eigh(moments).eigenvectors
    return axes[:, -dim:].flip(1).float()


@torch.no_grad()
def sentence_vectors(tower: TextTower, ids: Ids) -> Tensor:
    """What a text tower says of texts without any head: (n, width), the mean of the states, rows of length 1."""

    def pooled(some: Ids) -> Tensor:
        padded, mask = pad(some)
        weight = mask[:, :, None].float()
        return functional.normalize((tower(padded, mask) * weight).sum(dim=1) / weight.sum(dim=1), dim=1)

    return in_chunks(ids, 32, pooled)


def in_chunks(ids: Ids, chunk: int, compute: Callable[[Ids], Tensor]) -> Tensor:
    """What `compute` gives for all texts, in their order, computed with texts of like length together."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    parts = [compute([ids[i] for i in order[at : at + chunk]]) for at in range(0, len(order), chunk)]
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(parts)[back]


def pad(ids: Ids) -> tuple[Tensor, Tensor]:
    """Token ids padded to the longest, and the mask of real tokens, both (n, t) int64."""
    padded = torch.zeros(len(ids), max(len(row) for row in ids), dtype=torch.long)
    mask = torch.zeros_like(padded)
    for i, row in enumerate(ids):
        padded[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return padded, mask
