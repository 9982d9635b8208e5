"""From the catalog to a vector index: filled as it is, or trained on a sample and tuned on held-out queries."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retrieval.config import IndexChoice, IndexKind, IndexSpec
from retrieval.messages import _
from retrieval.store import approximate, exact, freed
from retrieval.store import committed as catalog
from retrieval.store.approximate import Approximate
from retrieval.store.exact import Exact
from retrieval.store.flat import Flat
from retrieval.store.nearest import LARGE, VectorIndex
from retrieval.store.records import Mark
from retrieval.types import FloatMatrix, Keys

SMALL = 400
"""Fewer vectors than this cannot be trained on, and are searched exactly whatever kind is asked for."""
GROWTH = 4
"""An index is trained anew when it holds so many times what it was trained on."""
STALE = 0.2
"""It is also when more than this share of it was removed."""
PROMISED = 0.98
"""The recall that is promised where a user asks for no other; what is tuned for misses half as much."""
FRESH = 0.25
"""So much must have been added, as a share of what an index was trained on, before it is asked whether that fits."""
DRIFT = 1.25
"""What was added lies elsewhere when codes leave out so many times as much of it; then, too, it is trained anew."""
_NEGLIGIBLE = 1e-3
"""What 8-bit codes leave out of vectors of length 1 is far less, and decides nothing."""
_HELD_OUT = 400
_KEYS = 17
"""Bytes of a vector's key, where it is kept and where it is looked up."""
_LOOKED_AT = 4096
_FLUSHED = 8
"""So many blocks of the catalog's vectors are written together: each time waits for the disk."""


class Wanted(NamedTuple):
    """The kind of index a collection should have, and whether that is trained anew; ``kind`` as now where not."""

    kind: IndexKind
    anew: bool


class Unbuilt(NamedTuple):
    """A collection's ``total`` vectors of length ``dim`` that no index holds yet: whatever suits them is built anew."""

    total: int
    dim: int


def wanted(spec: IndexSpec, index: VectorIndex | Unbuilt, choice: IndexChoice | None = None) -> Wanted:
    """Say which index suits what is held now; ``choice`` is what the user names, ``None`` is as it was."""
    count = index.total if isinstance(index, Unbuilt) else len(index)
    if count < SMALL:
        return Wanted("flat", spec.kind != "flat" or _outgrown(spec, index))
    if choice is not None and choice != "auto":
        return Wanted(choice, choice != spec.kind or _outgrown(spec, index))
    if spec.chosen and choice is None:
        return Wanted(spec.kind, _outgrown(spec, index))
    best: IndexKind = "ivfpq" if count >= LARGE else "flat"
    if spec.memory_mb:
        best = fitting(best, count, index.dim, spec.memory_mb)
    if best == "flat" and spec.kind != "flat" and count >= LARGE // 2:
        best = spec.kind  # not back and forth around the limit
    return Wanted(best, best != spec.kind or _outgrown(spec, index))


def fitting(best: IndexKind, count: int, dim: int, memory_mb: int) -> IndexKind:
    """Return the best kind that so much memory has room for, or the smallest there is."""
    kinds: tuple[IndexKind, ...] = (best, "ivfpq")
    return next((kind for kind in kinds if room_mb(kind, count, dim) <= memory_mb), "rabitq")


def room_mb(kind: IndexKind, count: int, dim: int) -> float:
    """Return about how much memory an index takes, mapped files apart, in MB."""
    links = 4.2 * 2 * approximate.LINKS
    codes = {"flat": 4.0 * dim, "ivfpq": dim / 2, "rabitq": dim / 8 + 8, "hnsw": dim + links}[kind]
    centres = 0 if kind in ("flat", "hnsw") else 4 * dim * approximate.lists_for(count)
    return (1.1 * count * (codes + _KEYS) + centres) / 1e6


def remarks(spec: IndexSpec, dim: int) -> list[str]:
    """Return what the user should know of an index that was trained."""
    said = []
    if spec.recall < promised(spec):
        message = _("the index {kind} finds only {share:.1%} of the ten nearest; exact search: --index flat")
        said.append(message.format(kind=spec.kind, share=spec.recall))
    takes_mb = room_mb(spec.kind, spec.trained_on, dim)
    if 0 < spec.memory_mb < takes_mb:
        message = _("the index {kind} takes about {takes:.0f} MB, more than the {given} MB of --index-memory")
        said.append(message.format(kind=spec.kind, takes=takes_mb, given=spec.memory_mb))
    return said


def promised(spec: IndexSpec) -> float:
    """Return the recall that an index should have."""
    return spec.promised or PROMISED


def _outgrown(spec: IndexSpec, index: VectorIndex | Unbuilt) -> bool:
    if spec.kind == "flat":
        return not isinstance(index, Flat)
    if not isinstance(index, Approximate):
        return True
    if (index.spec.kind, index.spec.lists) != (spec.kind, spec.lists):
        return True  # another training was cut short between its file and the catalog
    removed = index.total - len(index)
    if len(index) >= GROWTH * max(1, spec.trained_on) or removed > STALE * max(1, index.total):
        return True
    return drifted(spec, index)


def drifted(spec: IndexSpec, index: Approximate) -> bool:
    """Say whether what was added since the training lies elsewhere than what was there."""
    keys = index.keys
    fresh = keys[np.searchsorted(keys, spec.newest, side="right") :]
    if not spec.strain or len(fresh) < max(SMALL, FRESH * spec.trained_on):
        return False
    return _strain(index.codes, index.exact, fresh) > DRIFT * max(spec.strain, _NEGLIGIBLE)


def _strain(codes: Any, vectors: Exact, keys: Keys) -> float:  # noqa: ANN401 - a FAISS index
    """Return how far vectors of these keys lie from what the codes remember of them; a sample of many is enough."""
    rng = np.random.default_rng(len(keys))
    some = np.sort(rng.choice(keys, min(_LOOKED_AT, len(keys)), replace=False))
    return approximate.left_out(codes, vectors, some)


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
    freed.keep_large_apart()
    vectors, asked = _copied(connection, at, file), questions()
    connection.execute("PRAGMA shrink_memory")  # SQLite keeps pages of what it read, which is read no more
    freed.give_back()
    index = encoded(fresh, vectors)
    freed.give_back()
    tune(index, asked)
    return index


def _copied(connection: sqlite3.Connection, at: Mark, file: Path | None) -> Exact:
    vectors = exact.create(file, at) if file is not None else Exact(at.dim)
    for number, (keys, rows) in enumerate(catalog.stored_vectors(connection, at), 1):
        vectors.append(keys, rows)
        if number % _FLUSHED == 0:
            vectors.flush()
    vectors.flush()
    return vectors


def encoded(spec: IndexSpec, vectors: Exact) -> Approximate:
    """Return an index over vectors, trained on a sample of them; with as many lists as ``spec`` says, if it does."""
    count = len(vectors.all_keys)
    lists = spec.lists or approximate.lists_for(count)
    most = min(count, approximate.MOST_TRAINED, max(approximate.POINTS_A_LIST * lists, 10_000))
    sample = np.sort(np.random.default_rng(count).permutation(count)[:most])
    made, codes = approximate.empty(
        spec.kind, vectors, sample, spec.lists or min(lists, max(1, most // approximate.POINTS_A_LIST))
    )
    strained = _strain(codes, vectors, vectors.keys)  # before the codes take their room
    for places in approximate.filling(codes, vectors):
        codes.add_with_ids(vectors.at(places), vectors.all_keys[places])
    settings = replace(spec, lists=made.lists, trained_on=count, probes=spec.probes or made.probes)
    index = Approximate(settings, codes, vectors)
    index.spec = replace(settings, newest=int(index.keys[-1]), strain=round(strained, 6))
    return index


def tune(index: Approximate, asked: FloatMatrix) -> None:
    """Give an index the settings that reach the target recall on held-out queries at the least cost.

    Held out are pictures of the index itself, each of which does not count for its own query, and what is ``asked``
    ``(q, dim)``, of another kind, as the texts people ask with: these lie elsewhere than pictures do.
    """
    keys = index.keys
    rng = np.random.default_rng(len(keys))
    own = np.sort(rng.choice(keys, min(_HELD_OUT, len(keys)), replace=False))
    groups = [(index.rows(own), own)]
    if len(asked):
        some = asked[rng.permutation(len(asked))[:_HELD_OUT]].astype(np.float32)
        groups.append((some, np.full(len(some), -1, np.int64)))
    least = promised(index.spec)
    index.spec = approximate.tuned(index, groups, least + (1 - least) / 2)
