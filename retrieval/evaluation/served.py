"""Measures the engine as it is served beside exact search, to tell what the index loses from what the model misses.

The pictures of a dataset are looked for in a collection. Each caption is asked through ``Searcher.search`` as a user
would ask it, and the same vector is compared with every vector of the collection by NumPy. What exact search finds and
the served engine does not is the loss of the index; what exact search misses is the loss of the model.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.config import SearchOptions
from retrieval.evaluation.gallery import Gallery, fingerprint, name_of, places_of, read_gallery
from retrieval.evaluation.measures import Pairs, Rankings, block_rows, never, rank_blocks
from retrieval.evaluation.notation import RECALLS, Measure, values
from retrieval.evaluation.protocols import Dataset
from retrieval.evaluation.results import SHOWN, Asked
from retrieval.evaluation.run import Told, texts_of
from retrieval.evaluation.significance import Difference, compare_means
from retrieval.filters import format_where
from retrieval.types import FloatMatrix, Part, Pixels, Query, Where

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.embedding import Embedder
    from retrieval.search import Searcher
    from retrieval.store import Collection

_ALIKE = 2e-6
_DECIMALS = 3
_DRAWS = 1000


class ServedOptions(NamedTuple):
    """How the engine is asked: for ``k`` hits, among what ``where`` leaves, and what is measured of them."""

    k: int = 10
    where: Where | None = None
    measures: tuple[Measure, ...] = ()
    unique_captions: bool = False

    def measured(self) -> tuple[Measure, ...]:
        """Return recall as far as ``k`` reaches, and the further measures but the median (losses are of means)."""
        recalls = (one for one in RECALLS if (one.k or 0) <= self.k)
        return tuple(one for one in dict.fromkeys([*recalls, *self.measures]) if one.name != "median_rank")

    def depth(self) -> int:
        """Return how many hits are asked for: as many as the deepest measure needs."""
        return max([self.k, *(measure.k or 0 for measure in self.measured())])


class ServedReport(NamedTuple):
    """What the served engine found beside exact search.

    ``images`` and ``captions`` count what was asked for, ``gallery`` the files that the filter leaves and ``items``
    their vectors. ``losses`` holds for each measure the served figure (``ours``), the exact one (``theirs``), and their
    difference with its interval; both are of the first ``k`` files, what is further down counts as never found.
    ``agreement`` is the share (per cent) of the first d exact files that are among the first d served ones, by d.
    ``nothing`` counts queries whose picture the filter leaves out, ``failed`` are pictures that could not be indexed.
    """

    protocol: str
    split: str
    images: int
    captions: int
    gallery: int
    items: int
    k: int
    where: str
    losses: dict[Measure, Difference]
    agreement: dict[int, float]
    nothing: int
    failed: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...]
    index: dict[str, Any]  # type: ignore[assignment]
    model: dict[str, Any]
    data: str
    asked: tuple[Asked, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values: the served figures first, then the exact ones and the two losses."""
        rows = {str(measure): one for measure, one in self.losses.items()}
        return {
            "images": self.images,
            "captions": self.captions,
            "text_to_image": {name: round(one.ours, _DECIMALS) for name, one in rows.items()},
            "exact": {name: round(one.theirs, _DECIMALS) for name, one in rows.items()},
            "index_loss": {name: round(0.0 - one.difference, _DECIMALS) for name, one in rows.items()},
            "index_loss_95": {
                name: [round(0.0 - end, _DECIMALS) for end in reversed(one.interval_95)] for name, one in rows.items()
            },
            "model_loss": {
                str(measure): round(100.0 - one.theirs, _DECIMALS)
                for measure, one in self.losses.items()
                if not measure.is_rank
            },
            "agreement": {f"@{depth}": round(found, _DECIMALS) for depth, found in self.agreement.items()},
            "queries": {"text_to_image": self.captions},
            "gallery": {"text_to_image": self.gallery},
            "items": self.items,
            "k": self.k,
            "where": self.where,
            "nothing_to_find": self.nothing,
            "protocol": self.protocol,
            "split": self.split,
            "notes": list(self.notes),
            "failed": [{"path": str(path), "reason": reason} for path, reason in self.failed],
            "model": self.model,
            "index": self.index,
            "data": self.data,
        }


class _Answers(NamedTuple):
    """The files served for each query, best first: places in the gallery (-1: none) and scores, ``(q, k)`` both."""

    places: NDArray[np.int64]
    scores: NDArray[np.float32]


def evaluate_served(
    dataset: Dataset,
    collection: "Collection",
    embedder: "Embedder",
    options: ServedOptions = ServedOptions(),  # noqa: B008 - a frozen value
    progress: Told | None = None,
) -> ServedReport:
    """Ask each caption of a dataset of a collection and compare what is served with exact search.

    Pictures are known by path, else by content; copies of a picture in the collection are as right as itself. Of a
    video the best moment counts. The collection's vectors are held in memory once more, as float32.

    Raises:
        DatasetError: a picture is not in the collection.
        ModelMismatch: the collection was made with another model.
        CollectionError: the collection cannot be read.
    """
    texts, of_pictures = texts_of(dataset.captions, options.unique_captions)
    records, failed = places_of(dataset, collection)
    gallery = read_gallery(collection, options.where)
    both = _both(collection, embedder, _Asking(texts, of_pictures, records, options), gallery, progress)
    units = np.arange(len(texts)) if options.unique_captions else dataset.captions.picture
    names = [name_of(path, dataset.folder) for path in gallery.paths]
    return ServedReport(
        protocol=dataset.protocol.name,
        split=dataset.captions.split,
        images=len(dataset.paths),
        captions=len(texts),
        gallery=len(gallery.paths),
        items=len(gallery.vectors),
        k=options.depth(),
        where="" if options.where is None else format_where(options.where),
        losses=_losses(options.measured(), both, units),
        agreement=both.agreement,
        nothing=int((np.diff(both.exact.starts) == 0).sum()),
        failed=failed,
        notes=dataset.notes,
        index=fingerprint(collection),
        model={"name": embedder.spec.name, **embedder.spec.fingerprint()},
        data=dataset.digest,
        asked=tuple(_asked(texts, both, names)),
    )


class _Asking(NamedTuple):
    """What is asked: texts, which of the dataset's pictures each belongs to, and where the collection holds these."""

    texts: list[str]
    of_pictures: Pairs
    records: list[list[Path]]
    options: ServedOptions


class _Both(NamedTuple):
    """What came of it: ``exact`` ranks over all files and ``served`` ranks within the answers, of the same pairs."""

    exact: Rankings
    served: Rankings
    agreement: dict[int, float]
    answers: _Answers
    pairs: Pairs


def _both(
    collection: "Collection", embedder: "Embedder", asking: _Asking, gallery: Gallery, progress: Told | None
) -> _Both:
    """Ask the served engine, then NumPy with the same vectors."""
    from retrieval.search import Searcher

    known = _Remembering(embedder)
    place_of = {path: place for place, path in enumerate(gallery.paths)}
    right = [[place_of[path] for path in paths if path in place_of] for paths in asking.records]
    pairs = _file_pairs(asking.of_pictures, right)
    answers = _served(Searcher(collection, known), asking, place_of, progress)
    words = np.stack([known.seen[text] for text in asking.texts])
    exact, agreement = _exact(words, gallery, pairs, answers)
    return _Both(exact, _rank_answers(answers, pairs), agreement, answers, pairs)


def _losses(measures: Sequence[Measure], both: _Both, units: NDArray[np.int64]) -> dict[Measure, Difference]:
    """Compare what was served with the same number of exact files."""
    cut = _cut(both.exact, both.answers.places.shape[1])
    return {one: compare_means(values(one, both.served), values(one, cut), units, draws=_DRAWS) for one in measures}


class _Remembering:
    """The embedder of the searches; it keeps the vector of each text, so that exact search is asked the very same."""

    def __init__(self, embedder: "Embedder") -> None:
        self._embedder = embedder
        self.spec, self.dim, self.batch_size = embedder.spec, embedder.dim, embedder.batch_size
        self.seen: dict[str, NDArray[np.float32]] = {}

    def embed_texts(self, texts: Sequence[str]) -> FloatMatrix:
        rows = self._embedder.embed_texts(texts)
        self.seen.update(zip(texts, rows, strict=True))
        return rows

    def text_notes(self, text: str) -> list[str]:
        return self._embedder.text_notes(text)

    def preprocess(self, pixels: Pixels) -> Pixels:
        return self._embedder.preprocess(pixels)

    def embed_pixels(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        return self._embedder.embed_pixels(batch)

    def embed_images(self, images: "Sequence[Image.Image]") -> FloatMatrix:
        return self._embedder.embed_images(images)


def _file_pairs(of_pictures: Pairs, right: list[list[int]]) -> Pairs:
    """Turn pairs (text, picture) to pairs (text, file of the gallery)."""
    rows = [(text, place) for text, picture in of_pictures.tolist() for place in right[picture]]
    return np.unique(np.array(rows, np.int64).reshape(-1, 2), axis=0)


def _served(searcher: "Searcher", asking: _Asking, place_of: dict[Path, int], progress: Told | None) -> _Answers:
    """Ask each text; equal texts are asked once."""
    # No more hits than files can be served; deeper answers would only take memory.
    size = (len(asking.texts), min(asking.options.depth(), max(len(place_of), SHOWN)))
    answers = _Answers(np.full(size, -1, np.int64), np.full(size, -np.inf, np.float32))
    first: dict[str, int] = {}
    for row, text in enumerate(asking.texts):
        same = first.setdefault(text, row)
        if same != row:
            answers.places[row], answers.scores[row] = answers.places[same], answers.scores[same]
        else:
            query = Query((Part("text", text),), asking.options.where)
            hits = searcher.search(query, size[1], SearchOptions(per_video=1)).hits
            answers.places[row, : len(hits)] = [place_of.get(Path(hit.path), -1) for hit in hits]
            answers.scores[row, : len(hits)] = [hit.score for hit in hits]
        if progress:
            progress(row + 1, len(asking.texts))
    return answers


def _exact(words: FloatMatrix, gallery: Gallery, pairs: Pairs, answers: _Answers) -> tuple[Rankings, dict[int, float]]:
    """Rank all files by NumPy, and measure at several depths how many of the first served files are among the first."""
    files = len(gallery.paths)
    depth = answers.places.shape[1]
    depths = sorted({one for one in (1, 5, 10, depth) if one <= depth})
    shares = np.zeros((len(words), len(depths)))

    def blocks() -> Iterator[NDArray[np.float32]]:
        step = block_rows(len(gallery.vectors))
        for start in range(0, len(words), step):
            scores = words[start : start + step] @ gallery.vectors.T
            of_files = np.maximum.reduceat(scores, gallery.starts, axis=1) if files else scores
            for place, row in enumerate(of_files, start):
                shares[place] = _shared(row, answers.places[place], depths)
            yield of_files

    rankings, _ = rank_blocks(blocks(), (len(words), files), pairs)
    return rankings, dict(zip(depths, (100.0 * shares.mean(axis=0)).tolist(), strict=True))


def _shared(scores: NDArray[np.float32], served: NDArray[np.int64], depths: Sequence[int]) -> list[float]:
    """Return which share of the best files was served; one that scores like the last of them is as good (ties)."""
    falling = -np.sort(-scores)
    found = []
    for depth in depths:
        wanted = min(depth, len(falling))
        places = served[:depth]
        reached = scores[places[places >= 0]] >= falling[wanted - 1] - _ALIKE if wanted else np.empty(0)
        found.append(min(float(reached.sum()) / wanted, 1.0) if wanted else 1.0)
    return found


def _rank_answers(answers: _Answers, pairs: Pairs) -> Rankings:
    """Rank the right files within what was served; those that were not are never found."""
    placed = {(row, place): at for row, places in enumerate(answers.places.tolist()) for at, place in enumerate(places)}
    rows = [(text, placed.get((text, place), -1)) for text, place in pairs.tolist()]
    given = np.array(rows, np.int64).reshape(-1, 2)
    return rank_blocks([answers.scores], answers.scores.shape, given)[0]


def _cut(rankings: Rankings, depth: int) -> Rankings:
    """Let what stands below ``depth`` be never found."""
    beyond = never(depth)
    return rankings._replace(
        ranks=np.where(rankings.ranks > depth, beyond, rankings.ranks),
        best=np.where(rankings.best > depth, beyond, rankings.best),
        gallery=depth,
    )


def _asked(texts: Sequence[str], both: _Both, names: Sequence[str]) -> Iterator[Asked]:
    right: dict[int, list[str]] = {}
    for text, place in both.pairs.tolist():
        right.setdefault(text, []).append(names[place])
    served = both.served
    for row, text in enumerate(texts):
        ranks = served.ranks[served.starts[row] : served.starts[row + 1]]
        places, scores = both.answers.places[row, :SHOWN].tolist(), both.answers.scores[row, :SHOWN].tolist()
        yield Asked(
            "text_to_image",
            text,
            False,
            tuple(right.get(row, ())),
            tuple((names[place], score) for place, score in zip(places, scores, strict=True) if place >= 0),
            int(served.best[row]),
            tuple(ranks[ranks <= served.gallery].tolist()),
        )
