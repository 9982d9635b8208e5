"""Queries with known answers: collections are drawn from a pool, some things are taken out, and both kinds are asked.

A query asks in vain when the thing it is about was taken out of the collection, when it names what no caption of the
pool tells of, or when it means nothing. In half of the draws things are missing from the background too, since a user's
pictures show what no background holds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.labels.inflection import Vocabulary, split_words
from retrieval.labels.words import builtin_words
from retrieval.ranking import Embedded, Modality, mix, spread
from retrieval.training.multilingual.inputs import KeptVectors
from retrieval.training.relevance.material import KEPT_AWAY, THINGS, nonsense
from retrieval.training.relevance.pool import Coverage, Looking, Mask, Places, Pool
from retrieval.types import FloatMatrix

Sort = Literal["caption", "word", "missing caption", "missing word", "name", "nonsense", "picture", "missing picture"]

SHOWN: tuple[Sort, Sort] = ("picture", "missing picture")
COVERED = 0.7
"""A hit is right when so much of what a caption says is said of it too."""
ENOUGH = 3
"""A word has an answer when so many pictures of the collection are described by it."""
LEAST_ITEMS, MOST_ITEMS = 12, 5000
_SPREAD_OVER = 1000
_CLASSES = Path(__file__).resolve().parents[2] / "models" / "starter" / "classes.txt"


class Asked(NamedTuple):
    """Queries that were asked: their looks ``(q, 7)``, whether there is an answer, what sort each is, and the hits.

    ``scores`` and ``right`` ``(q, h)`` are of the best hits; ``judged`` ``(q,)`` says where ``right`` is known.
    """

    looks: NDArray[np.float64]
    true: Mask
    sorts: list[Sort]
    scores: NDArray[np.float64]
    right: Mask
    judged: Mask

    @classmethod
    def joined(cls, parts: Sequence["Asked"]) -> "Asked":
        """Put several together."""
        looks, true, sorts, scores, right, judged = zip(*parts, strict=True)
        return cls(
            np.concatenate(looks),
            np.concatenate(true),
            [one for some in sorts for one in some],
            np.concatenate(scores),
            np.concatenate(right),
            np.concatenate(judged),
        )

    def of(self, *sorts: Sort) -> Mask:
        """Return which queries are of these sorts."""
        return np.isin(self.sorts, sorts)


class Texts(NamedTuple):
    """Short queries: ``texts`` with their vectors and, for words of things, which thing each names, else -1."""

    texts: list[str]
    vectors: FloatMatrix
    thing: Places


class Short(NamedTuple):
    """The short queries of a pool: words of its things, everyday words, names that it never tells, and nonsense."""

    things: Texts
    words: Texts
    names: Texts
    nonsense: Texts


def short_queries(pool: Pool, vectors: KeptVectors, half: int = 0) -> Short:
    """Embed the short queries; ``half`` is that of the nonsense."""
    words_of = {name: words for one in THINGS for name, words in one.items()}
    named = [(word, place) for place, name in enumerate(pool.things) for word in words_of[name].split()]
    things = [(form.format(word), place) for form in ("{}", "a {}") for word, place in named]
    words = [form.format(word) for form in ("{}", "a {}") for word in builtin_words().words]
    classes = unsaid(_CLASSES.read_text(encoding="utf-8").splitlines(), pool.told)
    names = unsaid(classes, [[" ".join(KEPT_AWAY)]])
    said = [form.format(name) for name in names for form in ("a photo of a {}.", "{}")]

    def texts(some: list[str], thing: Sequence[int] = ()) -> Texts:
        return Texts(some, vectors.texts(some), np.array(thing or [-1] * len(some), np.int64))

    return Short(
        texts([word for word, _ in things], [place for _, place in things]),
        texts(words),
        texts(said),
        texts(nonsense(600, 5, half)),
    )


def unsaid(names: Sequence[str], told: Sequence[Sequence[str]]) -> list[str]:
    """Return the names none of whose words of three letters or more is said of any picture, in any form."""
    pieces = sorted({word for name in names for word in split_words(name) if len(word) > 2})
    found = Vocabulary(pieces).found_in(caption for some in told for caption in some)
    said = {piece for piece, is_said in zip(pieces, found, strict=True) if is_said}
    return [name for name in names if not said & {word for word in split_words(name) if len(word) > 2}]


class Draw(NamedTuple):
    """A collection drawn from a pool: the pictures in it, the things taken out, and what is kept of the background."""

    allowed: Mask
    missing: Mask
    kept: Mask | None


class Drawing:
    """Draws collections from a pool and asks them; ``things`` are those that may be taken out."""

    def __init__(self, pool: Pool, short: Short, looking: Looking, things: Sequence[str], seed: int) -> None:
        """Prepare to draw, the same for the same seed."""
        self.pool, self.short, self.looking = pool, short, looking
        self._things = np.flatnonzero(np.isin(pool.things, things))
        self._rng = np.random.default_rng(seed)
        self._cover: Coverage | None = None

    def draw(self) -> Draw:
        """Take some things out, and leave between 12 and 5,000 pictures."""
        rng, pool = self._rng, self.pool
        missing = np.zeros(len(pool.things), np.bool_)
        missing[rng.choice(self._things, rng.integers(1, len(self._things) + 1), replace=False)] = True
        left: Mask = ~np.logical_or.reduce(pool.shows[:, missing], axis=1)
        own = np.arange(len(left)) < pool.asked
        target = float(np.exp(rng.uniform(np.log(LEAST_ITEMS), np.log(MOST_ITEMS))))
        share = min(1.0, target * rng.uniform(0.5, 1.0) / max((left & own).sum(), 1))
        rest = (target - share * (left & own).sum()) / max((left & ~own).sum(), 1)
        left &= rng.random(len(left)) < np.where(own, share, min(1.0, max(0.0, rest)))
        kept: Mask | None = None
        if rng.random() < 0.5:
            dropped = rng.choice(self._things, rng.integers(1, len(self._things) + 1), replace=False)
            kept = ~np.logical_or.reduce(pool.bank_shows[:, dropped], axis=1)
        return Draw(left, missing, kept)

    def texts(self, rounds: int, fold: tuple[int, int] = (0, 1)) -> Asked:
        """Ask words of ``rounds`` collections; ``fold`` (i, n) takes the i-th of n parts of the names and words."""
        self._cover = self._cover or Coverage(self.pool.told, self.pool.captions)
        parts: list[Asked] = []
        for _ in range(rounds):
            draw = self.draw()
            if draw.allowed.sum() >= LEAST_ITEMS:
                parts += [*self._captions(draw), *self._things_named(draw), *self._words(draw, fold)]
        return Asked.joined(parts)

    def pictures(self, rounds: int, noise: FloatMatrix) -> Asked:
        """Ask pictures of ``rounds`` collections; ``noise`` ``(n, dim)`` are pictures that show nothing."""
        parts: list[Asked] = []
        for _ in range(rounds):
            draw = self.draw()
            if draw.allowed.sum() < LEAST_ITEMS:
                continue
            for places, sort in zip(self._shown(draw), SHOWN, strict=True):
                parts.append(self._seen(draw, self.pool.pictures[places], sort, places))
            some = noise[self._pick(np.arange(len(noise)), 10)]
            parts.append(self._seen(draw, some, "nonsense", np.full(len(some), -1)))
        return Asked.joined(parts)

    def mixes(self, rounds: int) -> Asked:
        """Ask a picture of a thing with words for it, weighted at random."""
        parts: list[Asked] = []
        for _ in range(rounds):
            draw = self.draw()
            if draw.allowed.sum() < LEAST_ITEMS:
                continue
            for places, sort in zip(self._shown(draw), SHOWN, strict=True):
                mixed = [self._mixed(draw, place) for place in places]
                if mixed:
                    parts.append(self._seen(draw, np.concatenate(mixed), sort, places))
        return Asked.joined(parts)

    def _pick(self, places: Places, most: int) -> Places:
        return self._rng.choice(places, min(most, len(places)), replace=False)

    def _captions(self, draw: Draw) -> list[Asked]:
        pool, rng = self.pool, self._rng
        there = self._pick(np.flatnonzero(draw.allowed[pool.owner]), 60)
        found = [self._caption_hits(draw, there)]
        if draw.kept is not None:  # what the background does not know, asked for where it is
            unknown = ~pool.bank_shows[draw.kept].any(axis=0)
            of_unknown = pool.about[:, unknown].any(axis=1) & draw.allowed[pool.owner]
            found.append(self._caption_hits(draw, self._pick(np.flatnonzero(of_unknown), 40)))
        in_vain = np.flatnonzero(pool.about[:, draw.missing].any(axis=1))
        owners = self._pick(np.unique(pool.owner[in_vain]), 40)
        away = np.array([rng.choice(in_vain[pool.owner[in_vain] == one]) for one in owners], np.int64)
        found.append(self._asked(draw, pool.words[away], "missing caption"))
        return [one for one in found if len(one.true)]

    def _caption_hits(self, draw: Draw, places: Places) -> Asked:
        assert self._cover is not None
        seen = self.looking.look(self.pool.words[places], draw.allowed, draw.kept)
        right = np.array(
            [
                (hits == self.pool.owner[place]) | (self._cover.of(self.pool.captions[place], hits) >= COVERED)
                for place, hits in zip(places, seen.hits, strict=True)
            ],
            np.bool_,
        ).reshape(seen.hits.shape)
        sorts: list[Sort] = ["caption"] * len(places)
        return Asked(
            seen.looks, np.ones(len(places), np.bool_), sorts, seen.scores, right, np.ones(len(places), np.bool_)
        )

    def _things_named(self, draw: Draw) -> list[Asked]:
        pool, texts = self.pool, self.short.things
        often = pool.shows[draw.allowed].sum(axis=0) >= ENOUGH
        there = self._pick(np.flatnonzero(often[texts.thing] & ~draw.missing[texts.thing]), 15)
        away = self._pick(np.flatnonzero(draw.missing[texts.thing]), 10)
        seen = self.looking.look(texts.vectors[there], draw.allowed, draw.kept)
        right = pool.shows[seen.hits, texts.thing[there][:, None]] & (seen.hits >= 0)
        yes = np.ones(len(there), np.bool_)
        found = Asked(seen.looks, yes, ["word"] * len(there), seen.scores, right, yes)
        return [found, self._asked(draw, texts.vectors[away], "missing word")]

    def _words(self, draw: Draw, fold: tuple[int, int]) -> list[Asked]:
        pool, short = self.pool, self.short
        part, parts = fold
        count = pool.tells.shape[1]
        often = np.tile(pool.tells[draw.allowed].sum(axis=0) >= ENOUGH, 2)
        away = pool.tells.sum(axis=0) == 0
        away &= np.isin(builtin_words().words, unsaid(builtin_words().words, [[" ".join(KEPT_AWAY)]]))
        never = np.tile(away & (np.arange(count) % parts == part), 2)
        there, away = self._pick(np.flatnonzero(often), 12), self._pick(np.flatnonzero(never), 6)
        seen = self.looking.look(short.words.vectors[there], draw.allowed, draw.kept)
        right = pool.tells[seen.hits, (there % count)[:, None]] & (seen.hits >= 0)
        yes = np.ones(len(there), np.bool_)
        names = np.flatnonzero(np.arange(len(short.names.texts)) // 2 % parts == part)
        return [
            Asked(seen.looks, yes, ["word"] * len(there), seen.scores, right, yes),
            self._asked(draw, short.words.vectors[away], "missing word"),
            self._asked(draw, short.names.vectors[self._pick(names[names % 2 == 0], 20)], "name"),
            self._asked(draw, short.names.vectors[self._pick(names[names % 2 == 1], 6)], "missing word"),
            self._asked(draw, short.nonsense.vectors[self._pick(np.arange(len(short.nonsense.texts)), 20)], "nonsense"),
        ]

    def _asked(self, draw: Draw, queries: FloatMatrix, sort: Sort) -> Asked:
        """Ask in vain."""
        seen = self.looking.look(queries, draw.allowed, draw.kept)
        no = np.zeros(len(queries), np.bool_)
        return Asked(seen.looks, no, [sort] * len(queries), seen.scores, np.zeros(seen.hits.shape, np.bool_), ~no)

    def _shown(self, draw: Draw) -> tuple[Places, Places]:
        """Return pictures whose things are there, and such whose things were all taken out."""
        pool = self.pool
        about = np.zeros((pool.asked, len(pool.things)), np.bool_)
        np.logical_or.at(about, pool.owner, pool.about)
        often = pool.shows[draw.allowed].sum(axis=0) > ENOUGH
        there = (about & often & ~draw.missing).any(axis=1)
        away = about.any(axis=1) & ~(about & ~draw.missing).any(axis=1)
        return self._pick(np.flatnonzero(there), 30), self._pick(np.flatnonzero(away), 30)

    def _seen(self, draw: Draw, queries: FloatMatrix, sort: Sort, places: Places) -> Asked:
        """Ask with pictures; a hit is right when it shows a thing that the picture is about."""
        pool = self.pool
        seen = self.looking.look(queries, draw.allowed, draw.kept, places)
        about = np.zeros((len(queries), len(pool.things)), np.bool_)
        for row, place in enumerate(places):
            if place >= 0:
                about[row] = pool.about[pool.owner == place].any(axis=0)
        right = (pool.shows[seen.hits] & about[:, None, :]).any(axis=2) & (seen.hits >= 0)
        true = np.full(len(queries), sort == "picture")
        return Asked(
            seen.looks, true, [sort] * len(queries), seen.scores, right & true[:, None], np.ones(len(true), np.bool_)
        )

    def _mixed(self, draw: Draw, place: int) -> FloatMatrix:
        """Return the vector of a picture with words for one of its things or a caption of another picture of it."""
        pool, rng = self.pool, self._rng
        things = np.flatnonzero(pool.about[pool.owner == place].any(axis=0))
        thing = rng.choice(things)
        if rng.random() < 0.5:
            words = self.short.things.vectors[rng.choice(np.flatnonzero(self.short.things.thing == thing))]
        else:
            words = pool.words[rng.choice(np.flatnonzero(pool.about[:, thing]))]
        weight = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
        parts = [self._part(draw, words, weight, "text"), self._part(draw, pool.pictures[place], 1.0, "picture")]
        return mix(parts).probes

    def _part(self, draw: Draw, vector: NDArray[np.float32], weight: float, modality: Modality) -> Embedded:
        scores = -np.sort(-(self.pool.pictures[draw.allowed] @ vector))[:_SPREAD_OVER]
        return Embedded(vector[None], weight, modality, spread(scores))
