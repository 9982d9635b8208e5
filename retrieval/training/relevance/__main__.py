"""Fit the relevance cut of a model: `python -m retrieval.training.relevance --data FOLDER [--model M] [--out FOLDER]`.

FOLDER holds images/ and captions.tsv (image TAB split TAB caption), English captions of people, dogs, sports and the
outdoors such as Flickr8k's. Queries are those of `--asked` (dev), the background and more pictures come from `--others`
(train); nothing else is read. Written are relevance.json and relevance.npz, into the model's folder or into `--out`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from retrieval.config import DEFAULT_MODEL
from retrieval.embedding import Embedder, model_folder, open_embedder
from retrieval.errors import DatasetError, RetrievalError
from retrieval.ranking.cut import DEPTH, Judge, crowding
from retrieval.search.statistics import Statistics, stepped, write_statistics
from retrieval.training.multilingual.inputs import KeptVectors
from retrieval.training.relevance.draws import Asked, Drawing, Short, short_queries
from retrieval.training.relevance.fitting import Quality, fit_judge, measure
from retrieval.training.relevance.material import THINGS
from retrieval.training.relevance.pool import Looking, Pool, make_pool, split_of
from retrieval.types import FloatMatrix

FOLDS = 4
ROUNDS = 25
"""Collections drawn for each fold and kind of query."""
HEAT = 0.4
"""The temperature of the background, in spreads of how near its pictures are to one another."""
KINDS = ("text", "picture", "mixed")
_NOISE = 60


def note(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def blank_pictures(embedder: Embedder, count: int = _NOISE) -> FloatMatrix:
    """Return vectors ``(n, dim)`` of pictures that show nothing: noise, one colour, blocks and gradients."""
    rng = np.random.default_rng(3)
    side = embedder.spec.preprocessing
    shape = (side.height, side.width, 3)
    across = np.linspace(0.0, 1.0, side.width)[None, :, None] * np.ones(shape)
    made = []
    for place in range(count):
        first, second = rng.integers(0, 256, (2, 3))
        if place % 4 == 0:
            pixels = rng.integers(0, 256, shape)
        elif place % 4 == 1:
            pixels = np.broadcast_to(first, shape)
        elif place % 4 == 2:
            size = int(rng.integers(8, 64))
            rows, cols = (np.arange(count) // size for count in shape[:2])
            pixels = np.where(((rows[:, None] + cols[None]) % 2)[..., None] == 0, first, second)
        else:
            pixels = across * first + (1.0 - across) * second
        made.append(np.ascontiguousarray(pixels, np.uint8))
    return embedder.embed_pixels(np.stack(made))


def asked_about(kind: str, half: int, drawer: "Drawer") -> list[Asked]:
    """Ask queries of one kind about the things of one half, fold by fold."""
    found = []
    for fold in range(FOLDS):
        things = list(THINGS[half])[fold::FOLDS]
        drawing = Drawing(drawer.pool, drawer.short, drawer.looking, things, seed=100 * half + fold)
        if kind == "text":
            found.append(drawing.texts(ROUNDS, (fold, FOLDS)))
        elif kind == "picture":
            found.append(drawing.pictures(ROUNDS, drawer.blank))
        else:
            found.append(drawing.mixes(ROUNDS))
    return found


class Drawer:
    """What all draws need: the pool, its short queries, how it is looked at, and pictures that show nothing."""

    def __init__(self, pool: Pool, short: Short, looking: Looking, blank: FloatMatrix) -> None:
        self.pool, self.short, self.looking, self.blank = pool, short, looking, blank


def fit(data: Path, splits: tuple[str, str], embedder: Embedder, cache: Path) -> Statistics:
    """Fit the judges of a model with half of the things, and measure them with the other half.

    Raises:
        DatasetError: the captions cannot be read, or do not hold the things that are asked about.
    """
    vectors = KeptVectors(cache, embedder, note)
    pool = make_pool(split_of(data, splits[0], vectors), split_of(data, splits[1], vectors), vectors)
    pool = pool._replace(bank=stepped(pool.bank))
    among = pool.bank @ pool.bank.T
    np.fill_diagonal(among, np.nan)
    heat = round(HEAT * float(np.nanstd(among)), 4)
    np.fill_diagonal(among, -np.inf)
    crowd = crowding(-np.sort(-among, axis=1)[:, :DEPTH].astype(np.float64), heat)
    drawer = Drawer(
        pool, short_queries(pool, vectors), Looking(pool.pictures, pool.bank, heat), blank_pictures(embedder)
    )
    judges: dict[str, Judge] = {}
    quality: dict[str, Quality] = {}
    for kind in KINDS:
        note(f"asking {kind} queries")
        try:
            judges[kind] = fit_judge(asked_about(kind, 0, drawer))
            quality[kind] = measure(judges[kind], Asked.joined(asked_about(kind, 1, drawer)))
        except ValueError as error:
            raise DatasetError(f"{data} cannot be used: {error}; the captions must tell of many things") from None
        note(f"{kind}: {quality[kind].told()}")
    facts = {
        "asked": f"{splits[0]}, {pool.asked} pictures",
        "others": f"{splits[1]}, {len(pool.pictures) - pool.asked} pictures and {len(pool.bank)} of the background",
        "measured_on_things_not_fitted": {kind: found.told() for kind, found in quality.items()},
    }
    name = embedder.spec.name
    model = Path(name).name if Path(name).is_absolute() else name
    return Statistics(model, embedder.spec.digest, heat, pool.bank, crowd, judges, facts)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.training.relevance", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and captions.tsv")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the model (starter)")
    parser.add_argument("--out", type=Path, help="write here instead of into the model's folder")
    parser.add_argument("--asked", default="dev", help="the split whose captions and pictures are queries (dev)")
    parser.add_argument("--others", default="train", help="the split of the background and more pictures (train)")
    parser.add_argument("--cache", type=Path, help="keep vectors here")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Fit, measure, write; returned is the exit code."""
    options = parse(arguments)
    try:
        folder = options.out or model_folder(options.model)
        if folder is None or not folder.is_dir():
            raise RetrievalError(f"{options.out or options.model} is not a folder; name one with --out")
        with tempfile.TemporaryDirectory() as temporary:
            embedder = open_embedder(options.model)
            found = fit(options.data, (options.asked, options.others), embedder, options.cache or Path(temporary))
        write_statistics(folder, found)
        note(f"wrote {folder / 'relevance.json'}")
    except RetrievalError as error:
        note(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
