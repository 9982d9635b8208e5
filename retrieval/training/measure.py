"""Recall and class retrieval, as far as training needs them to choose and to report."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
DEPTHS = (1, 5, 10)


class Recall(NamedTuple):
    """R@1, R@5 and R@10 of each direction, in per cent."""

    text_to_image: tuple[float, ...]
    image_to_text: tuple[float, ...]

    @property
    def total(self) -> float:
        """One number to choose by: the sum of R@1 and R@10 of both directions."""
        t, i = self.text_to_image, self.image_to_text
        return t[0] + t[2] + i[0] + i[2]


def ranks(similarity: FloatArray, owner: IntArray) -> tuple[IntArray, IntArray]:
    """Ranks from 0, ties against us: of its picture for each caption, of the best own caption for each picture.

    `similarity` is (pictures, captions) and caption j belongs to picture `owner[j]`.
    """
    columns = np.arange(len(owner))
    by_text = (similarity >= similarity[owner, columns]).sum(axis=0) - 1
    own = owner[None, :] == np.arange(len(similarity))[:, None]
    best = np.where(own, similarity, -np.inf).max(axis=1, keepdims=True)
    by_image = ((similarity >= best) & ~own).sum(axis=1)
    return by_text.astype(np.int64), by_image.astype(np.int64)


def recall(similarity: FloatArray, owner: IntArray) -> Recall:
    """Recall of both directions; a picture scores if any of its captions is among the first."""
    by_text, by_image = ranks(similarity, owner)
    return Recall(*(tuple(float((r < k).mean() * 100) for k in DEPTHS) for r in (by_text, by_image)))


def bootstrap(
    similarity: FloatArray, owner: IntArray, rounds: int = 2000, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """95 % intervals, (3, 2) of each direction, over pictures drawn with replacement.

    The gallery stays whole and the ranks stay as they are: what varies is which pictures (with their captions) are
    asked about.
    """
    by_text, by_image = ranks(similarity, owner)
    n = len(similarity)
    counts = np.bincount(owner, minlength=n)
    hits_text = np.stack([np.bincount(owner, by_text < k, minlength=n) for k in DEPTHS])
    hits_image = np.stack([(by_image < k).astype(np.float64) for k in DEPTHS])
    rng = np.random.default_rng(seed)
    drawn = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(rounds)])
    text = drawn @ hits_text.T / (drawn @ counts)[:, None] * 100
    image = drawn @ hits_image.T / n * 100
    low_high = [np.percentile(x, [2.5, 97.5], axis=0).T.astype(np.float32) for x in (text, image)]
    return low_high[0], low_high[1]


def class_recall(images: FloatArray, texts: FloatArray, labels: IntArray) -> float:
    """Per cent of classes whose text vector finds a picture of the class first."""
    return float((labels[(texts @ images.T).argmax(axis=1)] == np.arange(len(texts))).mean() * 100)
