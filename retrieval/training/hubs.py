"""Hubs: what lies near too many others, and the correction that takes that advantage away.

In a space of many numbers some pictures are among the nearest of very many texts, whatever these say, and some texts
among those of very many pictures (Radovanovic et al., "Hubs in Space", JMLR 2010). How near a vector lies to a bank of
known vectors of the other kind says how much of a hub it is, and is taken off its scores: the inverted softmax of
Smith et al., ICLR 2017, with a bank of training data as in Bogolin et al., "Cross Modal Retrieval with Querybank
Normalisation", CVPR 2022. Those change a list of scores; here the correction is part of each vector, so that an index
knows nothing of it.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.training.model import DIM, Ensemble, Ids, Seen, Starter, joint_axes

SIDES = 4
"""Numbers of a vector that hold the correction; the others are its place in the space."""
HEAT = 0.05
SHARE = 0.7
"""How much of what is found is taken off: at 1 a picture's chance of being found would be that of any other."""
LIMIT = 0.15
"""The most that is taken off or put on."""
NAMES = 0.2
"""The share of the names of classes in the bank of texts; the rest are captions."""
MOST = 8192
"""Captions or pictures in a bank."""
ENOUGH = 1024
"""A bank that is smaller takes off less, in proportion."""
REACH = math.sqrt(LIMIT)
RADIUS = math.sqrt(1 + 2 * LIMIT)


class Hubs(nn.Module):
    """What one tower does to its vectors: `bank` (m, dim) are vectors of the other tower.

    `log_shares` (m,) are the logarithms of their shares, which add up to one. How much x is a hub is
    `share * HEAT * log sum(exp(log_shares + bank @ x / HEAT)) - level`, within ±`LIMIT`.
    """

    def __init__(self, axes: Tensor, bank: Tensor, log_shares: Tensor, share: float, level: float = 0.0) -> None:
        """Take `axes` (dim, dim - SIDES), common to both towers, onto which a vector is cast."""
        super().__init__()
        self.register_buffer("axes", axes)
        self.register_buffer("bank", bank)
        self.register_buffer("log_shares", log_shares)
        self.share, self.level = share, level

    def excess(self, vectors: Tensor) -> Tensor:
        """How much each of (n, dim) is a hub: (n, 1)."""
        near = vectors @ self.get_buffer("bank").T / HEAT + self.get_buffer("log_shares")
        found = self.share * HEAT * near.logsumexp(dim=1, keepdim=True) - self.level
        return found.clamp(-LIMIT, LIMIT)

    def settle(self, vectors: Tensor) -> None:
        """Set the level so that the excess of these vectors (n, dim) is 0 on average, before its limit."""
        near = vectors @ self.get_buffer("bank").T / HEAT + self.get_buffer("log_shares")
        self.level = float((self.share * HEAT * near.logsumexp(dim=1)).mean())

    def forward(self, vectors: Tensor, *, pictures: bool) -> Tensor:
        """Vectors (n, dim), rows of length 1, to such vectors with the correction in them.

        The product of a picture's and a text's is `(cosine - excess of one - excess of the other) / RADIUS ** 2`: the
        numbers at the end are (-e / REACH, REACH) of a picture and (REACH, -e / REACH) of a text, then one that makes
        up the length, of which the other kind's is 0.
        """
        place = vectors @ self.get_buffer("axes")
        taken = self.excess(vectors) / -REACH
        reach = torch.full_like(taken, REACH)
        used = (place**2).sum(dim=1, keepdim=True) + taken**2 + LIMIT
        rest = (RADIUS**2 - used).clamp(min=0).sqrt()
        none = torch.zeros_like(rest)
        sides = [taken, reach, rest, none] if pictures else [reach, taken, none, rest]
        return functional.normalize(torch.cat([place, *sides], dim=1), dim=1)


class Balanced(nn.Module):
    """A model whose vectors are corrected; the class table is the plain model's."""

    def __init__(self, model: Starter | Ensemble, of_pictures: Hubs, of_texts: Hubs) -> None:
        """`of_pictures` holds texts and corrects pictures, `of_texts` the other way round."""
        super().__init__()
        self.model, self.of_pictures, self.of_texts = model, of_pictures, of_texts

    def image(self, maps: Tensor, shallow: Tensor, table: Tensor) -> Seen:
        """As the plain model's."""
        seen = self.model.image(maps, shallow, table)
        return Seen(self.of_pictures(seen.vectors, pictures=True), seen.logits)

    def text(self, ids: Ids, chunk: int = 32) -> Tensor:
        """As the plain model's."""
        corrected: Tensor = self.of_texts(self.model.text(ids, chunk), pictures=False)
        return corrected

    def table(self, prompts: Ids) -> Tensor:
        """As the plain model's."""
        return self.model.table(prompts)


Towers = Starter | Ensemble | Balanced


def plain(model: Towers) -> Starter | Ensemble:
    """The model without the correction."""
    return model.model if isinstance(model, Balanced) else model


class Banks:
    """Vectors that the correction is made from, by the plain model: of pictures, captions and names of classes."""

    def __init__(self, pictures: Tensor, captions: Tensor, names: Tensor) -> None:
        """Take (n, dim), (m, dim) and (k, dim), rows of length 1."""
        self.pictures, self.captions, self.names = pictures, captions, names

    def correction(self) -> tuple[Hubs, Hubs]:
        """What corrects pictures, and what corrects texts."""
        axes = joint_axes(self.pictures, torch.cat([self.captions, self.names]), DIM - SIDES)
        of_captions = torch.full((len(self.captions),), math.log((1 - NAMES) / len(self.captions)))
        of_names = torch.full((len(self.names),), math.log(NAMES / len(self.names)))
        texts = torch.cat([self.captions, self.names])
        of_pictures = Hubs(axes, texts, torch.cat([of_captions, of_names]), _share(len(self.captions)))
        even = torch.full((len(self.pictures),), -math.log(len(self.pictures)))
        of_texts = Hubs(axes, self.pictures, even, _share(len(self.pictures)))
        of_pictures.settle(self.pictures)
        of_texts.settle(self.captions)
        return of_pictures, of_texts


def _share(known: int) -> float:
    return SHARE * min(1.0, known / ENOUGH)


def sample(count: int, most: int, seed: int = 0) -> list[int]:
    """At most `most` of `count` places, in order; the same ones for the same seed."""
    drawn = np.random.default_rng(seed).permutation(count)[:most]
    return [int(place) for place in sorted(drawn)]
