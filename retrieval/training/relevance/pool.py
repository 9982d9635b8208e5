"""Captioned pictures as vectors, what each shows, and looks at queries in parts of them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.labels.inflection import Vocabulary
from retrieval.labels.words import builtin_words
from retrieval.ranking.cut import DEPTH, NEAREST, Look, crowding, look
from retrieval.training.data import Captioned, read_captions
from retrieval.training.multilingual.inputs import KeptVectors
from retrieval.training.relevance.material import ABOUT, THINGS, names_thing
from retrieval.types import FloatMatrix

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

BANK = 2048
"""Pictures in the background."""
SAMPLE = 1000
"""Items whose scores stand for those at large."""
SHOWN = 50
"""Hits that are judged."""
_SEED = 11


class Pool(NamedTuple):
    """Pictures and captions of one model.

    ``pictures`` ``(n, dim)`` may be a collection's, the first ``asked`` of them are those of the split whose
    ``captions`` are queries, ``words`` ``(c, dim)`` with their pictures ``owner`` ``(c,)``. ``shows`` ``(n, t)`` says
    which picture has a thing in any of its captions, ``about`` ``(c, t)`` which caption is about a thing, in the order
    of ``things``; ``tells`` ``(n, w)`` which everyday word is in a picture's captions. ``bank`` ``(b, dim)`` is the
    background, ``bank_shows`` ``(b, t)``; ``told`` are the captions of each picture.
    """

    pictures: FloatMatrix
    asked: int
    captions: list[str]
    words: FloatMatrix
    owner: Places
    things: list[str]
    shows: Mask
    about: Mask
    tells: Mask
    told: list[list[str]]
    bank: FloatMatrix
    bank_shows: Mask


class Told(NamedTuple):
    """Pictures of a split with all that was written of each."""

    names: list[str]
    captions: list[list[str]]
    vectors: FloatMatrix

    def taken(self, places: Places) -> "Told":
        """Return some of them."""
        return Told([self.names[i] for i in places], [self.captions[i] for i in places], self.vectors[places])

    def shows(self, things: Sequence[str]) -> NDArray[np.int64]:
        """Return ``(n, t)``: how many captions of each picture name each thing."""
        finders = [names_thing(words) for words in things]
        return np.array(
            [[sum(bool(one.search(c)) for c in told) for one in finders] for told in self.captions], np.int64
        )


def split_of(folder: Path, split: str, vectors: KeptVectors) -> Told:
    """Read and embed the pictures of a split.

    Raises:
        DatasetError: the captions cannot be read.
    """
    found: Captioned = read_captions(folder, [split])
    told: list[list[str]] = [[] for _ in found.names]
    for caption, owner in zip(found.captions, found.owner, strict=True):
        told[owner].append(caption)
    return Told(found.names, told, vectors.pictures([folder / "images" / name for name in found.names]))


def make_pool(asked: Told, others: Told, vectors: KeptVectors) -> Pool:
    """Make a pool: queries come from ``asked``, background and more pictures from ``others``."""
    names = {name: words for half in THINGS for name, words in half.items()}
    drawn = np.random.default_rng(_SEED).permutation(len(others.names))
    bank, rest = others.taken(np.sort(drawn[:BANK])), others.taken(np.sort(drawn[BANK:]))
    told = asked.captions + rest.captions
    captions = [caption for some in asked.captions for caption in some]
    owner = np.repeat(np.arange(len(asked.names)), [len(some) for some in asked.captions])
    counts = asked.shows(list(names.values()))
    finders = [names_thing(words) for words in names.values()]
    named = np.array([[bool(one.search(caption)) for one in finders] for caption in captions])
    vocabulary = Vocabulary(builtin_words().words)
    return Pool(
        np.concatenate([asked.vectors, rest.vectors]),
        len(asked.names),
        captions,
        vectors.texts(captions),
        owner,
        list(names),
        np.concatenate([counts > 0, rest.shows(list(names.values())) > 0]),
        named & (counts >= ABOUT)[owner],
        np.stack([vocabulary.found_in(some) for some in told]),
        told,
        bank.vectors,
        bank.shows(list(names.values())) > 0,
    )


class Seen(NamedTuple):
    """Looks at some queries: ``looks`` ``(q, 7)``, and the best hits ``(q, h)``, places ``-1`` where there is none."""

    looks: NDArray[np.float64]
    hits: Places
    scores: NDArray[np.float64]


class Looking:
    """Looks at queries in parts of a pool, as a search looks at them in a collection."""

    def __init__(self, pictures: FloatMatrix, bank: FloatMatrix, heat: float) -> None:
        """Compare the background with the pictures, and with itself."""
        self._pictures, self._bank, self._heat = pictures, bank, heat
        self._near = bank @ pictures.T
        self._among = bank @ bank.T
        np.fill_diagonal(self._among, -np.inf)

    def look(self, queries: FloatMatrix, allowed: Mask, kept: Mask | None = None, own: Places | None = None) -> Seen:
        """Look at queries ``(q, dim)`` in the pictures ``allowed``, with the pictures ``kept`` of the background.

        ``own`` ``(q,)`` are pictures of the pool that the queries are made of, and are left out; -1 for none.
        """
        bank = np.arange(len(self._bank)) if kept is None else np.flatnonzero(kept)
        among = -np.sort(-self._among[np.ix_(bank, bank)], axis=1)[:, :DEPTH] if len(bank) else self._among[:0]
        crowd = crowding(among.astype(np.float64), self._heat)
        cols = np.flatnonzero(allowed)
        scores = (queries @ self._pictures[cols].T).astype(np.float64)
        of_bank = queries @ self._bank[bank].T
        rng = np.random.default_rng(_SEED)
        looks, places, best = [], [], []
        for row in range(len(queries)):
            chosen = np.flatnonzero(cols != own[row]) if own is not None and own[row] >= 0 else np.arange(len(cols))
            mine = scores[row, chosen]
            order = np.argsort(-mine, kind="stable")[:SHOWN]
            bulk = mine if len(mine) <= SAMPLE else mine[rng.choice(len(mine), SAMPLE, replace=False)]
            asked = np.argpartition(-of_bank[row], NEAREST - 1)[:NEAREST]
            near = self._near[np.ix_(bank[asked], cols[chosen])].astype(np.float64)
            near = -np.sort(-np.partition(near, max(near.shape[1] - DEPTH, 0), axis=1)[:, -DEPTH:], axis=1)
            looks.append(look(mine[order], bulk, len(chosen), near, crowd[asked], self._heat))
            pad = SHOWN - len(order)
            places.append(np.pad(cols[chosen[order]], (0, pad), constant_values=-1))
            best.append(np.pad(mine[order], (0, pad), constant_values=-np.inf))
        shape = (len(queries), SHOWN)
        return Seen(
            np.array(looks, np.float64).reshape(len(queries), len(Look._fields)),
            np.array(places, np.int64).reshape(shape),
            np.array(best, np.float64).reshape(shape),
        )


_CONTENT = re.compile(r"[a-z]{2,}")
_EMPTY_WORDS = (
    "an the of in on at and or with without near no not is are was were be being been to from for by as it its his "
    "her their them they he she him who that this these those there some another other one two three four five six "
    "several many each while through up down over under into onto off out around across along behind front next top "
    "side against towards toward during after before between above below very all both has have had having does do "
    "doing did you your my we our us something someone what which when where just so too also than then more most can "
    "get gets"
)
_EMPTY = frozenset(_EMPTY_WORDS.split())


class Coverage:
    """How much of what a caption says is said of a picture: the words of content that they share, rare ones more."""

    def __init__(self, told: Sequence[Sequence[str]], queries: Sequence[str]) -> None:
        """Find the words of ``queries``, in any form, in what is ``told`` of each picture."""
        self._words = list(dict.fromkeys(word for query in queries for word in content(query)))
        vocabulary = Vocabulary(self._words)
        self._found = np.stack([vocabulary.found_in(some) for some in told])
        self._weight = np.log((len(told) + 1) / (self._found.sum(axis=0) + 1))
        self._place = {word: place for place, word in enumerate(self._words)}

    def of(self, query: str, pictures: Places) -> NDArray[np.float64]:
        """Return ``(n,)`` shares from 0 to 1; pictures ``-1`` have 0."""
        words = np.array([self._place[word] for word in content(query)], np.int64)
        if not len(words):
            return np.zeros(len(pictures))
        weight = self._weight[words]
        shares: NDArray[np.float64] = self._found[np.ix_(pictures, words)] @ weight / max(weight.sum(), 1e-9)
        return np.where(pictures >= 0, shares, 0.0)


def content(text: str) -> list[str]:
    """Return the different words of a text that say what is seen."""
    return [word for word in dict.fromkeys(_CONTENT.findall(text.lower())) if word not in _EMPTY]
