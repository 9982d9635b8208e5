"""Which pictures and captions a step sees: a function of seed and step, so a run goes on as if never stopped."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from retrieval.errors import DatasetError
from retrieval.messages import _
from retrieval.training.finetune.augment import sided
from retrieval.training.finetune.pairs import Pairs
from retrieval.training.finetune.settings import Tuning

BoolArray = npt.NDArray[np.bool_]
_ORDER, _PICK, _VIEW, _CHUNK = range(4)
"""One stream of random numbers for each purpose."""


class Draw(NamedTuple):
    """One picture of a step: its place, the places of the captions drawn, the seed of its view, and whether that may
    be mirrored.
    """

    picture: int
    captions: tuple[int, ...]
    view: tuple[int, ...]
    mirror: bool


class Order:
    """The steps of a run: in an epoch every picture once, but for the rest of the division by the batch."""

    def __init__(self, pairs: Pairs, tuning: Tuning) -> None:
        """Note what belongs to what.

        Raises:
            DatasetError: the batch is larger than the number of pictures.
        """
        if tuning.batch > len(pairs.names):
            raise DatasetError(
                _(
                    "the batch of {batch} is greater than the {count} pictures to learn from; use "
                    "--batch {count} or fewer"
                ).format(batch=tuning.batch, count=len(pairs.names))
            )
        self._tuning = tuning
        self._own = pairs.of_each()
        self._keys = _keys(pairs.captions)
        self._mirror = [not sided(pairs.captions[i] for i in own) for own in self._own]
        self.per_epoch = len(pairs.names) // tuning.batch
        self.steps = self.per_epoch * tuning.epochs
        self._shuffled: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def draws(self, step: int) -> list[Draw]:
        """Return what step ``step`` (from 0) sees, over all processes."""
        seed, batch = self._tuning.seed, self._tuning.batch
        epoch, place = divmod(step, self.per_epoch)
        if self._shuffled[0] != epoch:
            self._shuffled = epoch, np.random.default_rng([seed, _ORDER, epoch]).permutation(len(self._own))
        rng = np.random.default_rng([seed, _PICK, step])
        found = []
        for picture in self._shuffled[1][place * batch : (place + 1) * batch]:
            own, count = self._own[picture], self._tuning.captions
            picked = rng.choice(len(own), count, replace=len(own) < count)
            view = (seed, _VIEW, epoch, int(picture))
            found.append(Draw(int(picture), tuple(own[i] for i in picked), view, self._mirror[picture]))
        return found

    def positives(self, draws: Sequence[Draw]) -> BoolArray:
        """Return ``(n, n * captions) bool``: which drawn captions are right for which drawn picture.

        Right are all that say the same as any caption of the picture, whichever picture they were drawn for.
        """
        columns: dict[int, list[int]] = {}
        for place, caption in enumerate(caption for draw in draws for caption in draw.captions):
            columns.setdefault(self._keys[caption], []).append(place)
        found = np.zeros((len(draws), sum(len(draw.captions) for draw in draws)), np.bool_)
        for row, draw in enumerate(draws):
            for caption in self._own[draw.picture]:
                found[row, columns.get(self._keys[caption], [])] = True
        return found


def chunk_seed(tuning: Tuning, step: int, chunk: int, tower: int) -> int:
    """Return the seed of what a tower drops out for a chunk of a step, the same in a second pass."""
    return int(np.random.SeedSequence([tuning.seed, _CHUNK, step, chunk, tower]).generate_state(1)[0])


def _keys(captions: Sequence[str]) -> list[int]:
    """Number the captions so that equal ones (but for case, spaces and the full stop) have equal numbers."""
    known: dict[str, int] = {}
    plain = (" ".join(caption.casefold().rstrip(" .").split()) for caption in captions)
    return [known.setdefault(text, len(known)) for text in plain]
