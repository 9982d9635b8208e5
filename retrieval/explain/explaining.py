"""Explaining one match: which part of the query and which place of the picture its score comes from."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Sampling
from retrieval.embedding import Embedder
from retrieval.embedding.preprocess import window
from retrieval.explain.heat import Method, find_heat
from retrieval.explain.regions import Region, find_regions, on_picture
from retrieval.explain.target import Target, open_target
from retrieval.ranking import best_scores
from retrieval.reading import read_query
from retrieval.types import Query, Share

if TYPE_CHECKING:
    from retrieval.store import Collection


class Explanation(NamedTuple):
    """Where the score of one picture or frame comes from.

    ``score`` is the cosine with the best probe of the query, ``shares`` what its parts add to it (they sum to it).
    ``heat`` is ``(rows, columns) float32`` over the upright picture, see ``regions.on_picture``; ``regions`` are its
    boxes, best first; ``method`` says how it was found.
    """

    target: Target
    model: str
    score: float
    shares: tuple[Share, ...]
    method: Literal["cells", "masks"]
    heat: NDArray[np.float32]
    regions: tuple[Region, ...]
    notes: tuple[str, ...]


def explain(
    query: Query,
    name: str,
    embedder: Embedder,
    collection: "Collection | None" = None,
    *,
    method: Method = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Explanation:
    """Say what of ``query`` matches what in the picture or video ``name`` (``film.mp4#t=12.5`` for one frame).

    The file need not be indexed. With a collection, a mixed query is weighed over it as a search does, and videos are
    read with the frames it was made with; without one, words and pictures are mixed by their plain weights.

    Raises:
        QueryError: there is no such file, or the query cannot be understood.
        MediaError: a file cannot be read.
        OptionError: ``method`` is one the model does not have.
        ModelMismatch: the collection was made with another model.
    """
    if collection is not None:
        collection.check_model(embedder.spec)
    read = read_query(query, embedder, collection)
    target = open_target(name, embedder, read.mixed.probes, sampling_of(collection))
    score = float(np.clip(best_scores(target.vector, read.mixed.probes)[0], -1.0, 1.0))
    probe = read.mixed.probes[best_probe(target, read.mixed.probes)]
    found = find_heat(embedder, embedder.preprocess(target.pixels), probe, method, progress)
    height, width = target.pixels.shape[:2]
    place = window(width, height, embedder.spec.preprocessing)
    heat = on_picture(found.heat, place, target.width, target.height)
    regions = find_regions(heat, target.width, target.height)
    return Explanation(
        target,
        embedder.spec.name,
        score,
        read.shares(target.vector)[0],
        found.method,
        heat,
        tuple(regions),
        (*read.notes, *target.notes),
    )


def sampling_of(collection: "Collection | None") -> Sampling:
    """Return which frames of videos the collection was made with, or the usual ones."""
    return Sampling() if collection is None else collection.manifest.sampling


def best_probe(target: Target, probes: NDArray[np.float32]) -> int:
    """Return which of the probes ``(m, dim)`` scores best."""
    return int((target.vector.astype(np.float64) @ probes.T.astype(np.float64))[0].argmax())
