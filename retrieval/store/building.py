"""From the catalog to a vector index: filled as it is, or trained on a sample and tuned on held-out queries."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.config import IndexChoice, IndexKind, IndexSpec
from retrieval.store import approximate, exact
from retrieval.store import reader as catalog
from retrieval.store.approximate import Approximate
from retrieval.store.exact import Exact
from retrieval.store.flat import Flat
from retrieval.store.nearest import VectorIndex
from retrieval.store.records import Mark
from retrieval.types import FloatMatrix

LARGE = 60_000
"""From so many vectors on an exact search takes longer than about ten milliseconds."""
SMALL = 400
"""Fewer vectors than this cannot be trained on, and are searched exactly whatever kind is asked for."""
GROWTH = 4
"""An index is trained anew when it holds so many times what it was trained on."""
STALE = 0.2
"""It is also when more than this share of it was removed."""
TARGET = 0.99
"""The recall that is tuned for; what is promised is a little less."""
PROMISED = 0.98
_HELD_OUT = 400
_BLOCK = 16_384


class Wanted(NamedTuple):
    """The kind of index a collection should have, and whether that is trained anew; ``kind`` as now where not."""

    kind: IndexKind
    anew: bool


def wanted(spec: IndexSpec, index: VectorIndex, choice: IndexChoice | None = None) -> Wanted:
    """Say which index suits what is held now; ``choice`` is what the user names, ``None`` is as it was."""
    count = len(index)
    if count < SMALL:
        return Wanted("flat", spec.kind != "flat" or _outgrown(spec, index))
    if choice is not None and choice != "auto":
        return Wanted(choice, choice != spec.kind or _outgrown(spec, index))
    if spec.chosen and choice is None:
        return Wanted(spec.kind, _outgrown(spec, index))
    best: IndexKind = "ivfpq" if count >= LARGE else "flat"
    if best == "flat" and spec.kind != "flat" and count >= LARGE // 2:
        best = spec.kind  # not back and forth around the limit
    return Wanted(best, best != spec.kind or _outgrown(spec, index))


def _outgrown(spec: IndexSpec, index: VectorIndex) -> bool:
    if spec.kind == "flat":
        return not isinstance(index, Flat)
    if not isinstance(index, Approximate):
        return True
    removed = index.total - len(index)
    return len(index) >= GROWTH * max(1, spec.trained_on) or removed > STALE * max(1, index.total)


def _filled(connection: sqlite3.Connection, at: Mark, chosen: bool = False) -> Flat:
    """Return an exact index of all the catalog holds."""
    return Flat.filled(at.dim, catalog.tally(connection, at)[0], catalog.stored_vectors(connection, at), chosen)


def build(spec: IndexSpec, connection: sqlite3.Connection, at: Mark, file: Path | None) -> Flat | Approximate:
    """Return an index of all the catalog holds, of the kind and with the settings of ``spec``.

    It is exact where ``spec`` was never tuned for these vectors, or where they became too few for its lists. ``file``
    is where the vectors of an approximate one are mapped from; ``None`` keeps them in memory.
    """
    count = catalog.tally(connection, at)[0]
    if spec.kind == "flat" or not spec.trained_on or count < max(SMALL, approximate.POINTS_A_LIST * spec.lists // 4):
        return _filled(connection, at)
    return encoded(spec, _copied(connection, at, file))


def train(
    fresh: IndexSpec, connection: sqlite3.Connection, at: Mark, file: Path | None, questions: Callable[[], FloatMatrix]
) -> Flat | Approximate:
    """Return an index of all the catalog holds, of the kind of ``fresh``, trained and tuned; see ``tune``."""
    if fresh.kind == "flat":
        return _filled(connection, at, fresh.chosen)
    index = encoded(fresh, _copied(connection, at, file))
    tune(index, questions)
    return index


def _copied(connection: sqlite3.Connection, at: Mark, file: Path | None) -> Exact:
    vectors = exact.create(file, at) if file is not None else Exact(at.dim)
    for keys, rows in catalog.stored_vectors(connection, at):
        vectors.append(keys, rows)
        vectors.flush()
    return vectors


def encoded(spec: IndexSpec, vectors: Exact) -> Approximate:
    """Return an index over vectors, trained on a sample of them; with as many lists as ``spec`` says, if it does."""
    count = len(vectors.all_keys)
    lists = spec.lists or approximate.lists_for(count)
    most = min(count, approximate.MOST_TRAINED, max(approximate.POINTS_A_LIST * lists, 10_000))
    sample = vectors.at(np.sort(np.random.default_rng(count).permutation(count)[:most]))
    made, codes = approximate.empty(
        spec.kind, sample, spec.lists or min(lists, max(1, most // approximate.POINTS_A_LIST))
    )
    del sample
    for at in range(0, count, _BLOCK):
        places = np.arange(at, min(count, at + _BLOCK))
        codes.add_with_ids(vectors.at(places), vectors.all_keys[places])
    settings = replace(spec, lists=made.lists, trained_on=count, probes=spec.probes or made.probes)
    return Approximate(settings, codes, vectors)


def tune(index: Approximate, questions: Callable[[], FloatMatrix]) -> None:
    """Give an index the settings that reach the target recall on held-out queries at the least cost.

    Held out are pictures of the index itself, each of which does not count for its own query, and ``questions()``
    ``(q, dim)`` of another kind, as the texts people ask with: these lie elsewhere than pictures do.
    """
    keys = index.keys
    rng = np.random.default_rng(len(keys))
    own = np.sort(rng.choice(keys, min(_HELD_OUT, len(keys)), replace=False))
    groups = [(index.rows(own), own)]
    asked = questions()
    if len(asked):
        some = asked[rng.permutation(len(asked))[:_HELD_OUT]].astype(np.float32)
        groups.append((some, np.full(len(some), -1, np.int64)))
    index.spec = approximate.tuned(index, groups, TARGET)
