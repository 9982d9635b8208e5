"""Measures what a model knows outside the captioned photographs it was trained on, beside another model.

    python -m benchmarks.generality DATA [--model starter] [--against FOLDER]

DATA holds `caltech101` (pictures named by class) and `videos` (clips with captions); photographs that packages of the
extra `sample` ship are added. A name of a class asks for any picture of it (R@1, mean average precision); a caption of
a clip or a photograph asks for it. With `--against` the difference to a second model is given with its 95 % interval
(paired bootstrap over the queries).
"""

import argparse
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from retrieval.embedding import Embedder, open_embedder
from retrieval.embedding.stream import Embedded, Job, embed_stream
from retrieval.evaluation.run import embed_captions
from retrieval.types import FloatMatrix

SHIPPED = {
    "astronaut.png": "a woman in an orange space suit smiles in front of a flag",
    "camera.png": "a black and white picture of a man with a camera on a tripod",
    "chelsea.png": "a close picture of the face of a tabby cat",
    "coffee.png": "a cup of coffee with a spoon on a wooden table",
    "coins.png": "old coins lie in rows",
    "brick.png": "a wall of bricks",
    "grass.png": "grass seen from above",
    "gravel.png": "small stones on the ground",
    "hubble_deep_field.jpg": "galaxies and stars in the dark sky",
    "horse.png": "the black outline of a horse",
    "moon.png": "the surface of the moon with a crater",
    "motorcycle_left.png": "a motorcycle in a garage",
    "page.png": "a page of printed text",
    "retina.jpg": "the inside of an eye, red with blood vessels",
    "rocket.jpg": "a rocket on its launch pad at night",
}
"""Photographs of scikit-image, each with a sentence of ours."""
ROUNDS = 10_000


def vectors_of(paths: Sequence[Path], embedder: Embedder) -> FloatMatrix:
    """Return ``(n, dim)``: a vector per file, the mean of its frames scaled to length 1."""
    found = np.full((len(paths), embedder.dim), np.nan, dtype=np.float32)
    for result in embed_stream((Job(path, place) for place, path in enumerate(paths)), embedder, digest=False):
        if isinstance(result, Embedded) and isinstance(result.job.tag, int):
            mean = result.vectors.mean(axis=0)
            found[result.job.tag] = mean / np.linalg.norm(mean)
    if np.isnan(found).any():
        raise SystemExit("a file cannot be read; is DATA whole?")
    return found


def table(path: Path) -> list[list[str]]:
    """Return the cells of a tab-separated file."""
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]


def per_query(queries: FloatMatrix, gallery: FloatMatrix, right: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Return R@1 and average precision of every query, ``(q,)`` each in per cent; ``right`` is ``(q, g)``."""
    order = np.argsort(-(queries @ gallery.T), axis=1, kind="stable")
    hits = np.take_along_axis(right, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return {"R@1": 100.0 * hits[:, 0], "AP": 100.0 * (precision * hits).sum(axis=1) / hits.sum(axis=1)}


def classes(data: Path, embedder: Embedder) -> dict[str, NDArray[np.float64]]:
    """Names of classes ask for their pictures."""
    rows = table(data / "caltech101" / "captions.tsv")
    names = sorted({row[2] for row in rows})
    pictures = vectors_of([data / "caltech101" / "images" / row[0] for row in rows], embedder)
    right = np.array([[row[2] == name for row in rows] for name in names])
    return per_query(embed_captions(names, embedder), pictures, right)


def clips(data: Path, embedder: Embedder) -> dict[str, NDArray[np.float64]]:
    """Captions of clips ask for their clip."""
    rows = table(data / "videos" / "captions.tsv")
    files = sorted({row[0] for row in rows})
    gallery = vectors_of([data / "videos" / "clips" / name for name in files], embedder)
    right = np.array([[row[0] == name for name in files] for row in rows])
    return per_query(embed_captions([row[3] for row in rows], embedder), gallery, right)


def photographs(data: Path, embedder: Embedder) -> dict[str, NDArray[np.float64]]:
    """Sentences ask for the photographs of a package, hidden among those of the classes."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("the photographs are missing: pip install 'sightseek[sample]'")
    folder = Path(spec.origin).parent / "data"
    rows = table(data / "caltech101" / "captions.tsv")[::4]
    others = [data / "caltech101" / "images" / row[0] for row in rows]
    gallery = vectors_of([*(folder / name for name in SHIPPED), *others], embedder)
    right = np.eye(len(SHIPPED), len(gallery), dtype=bool)
    return per_query(embed_captions(list(SHIPPED.values()), embedder), gallery, right)


def compared(
    found: dict[str, NDArray[np.float64]], other: dict[str, NDArray[np.float64]] | None
) -> dict[str, dict[str, object]]:
    """Return means, and differences with their 95 % intervals where there is another model."""
    rng = np.random.default_rng(0)
    report: dict[str, dict[str, object]] = {}
    for measure, values in found.items():
        report[measure] = {"mean": round(float(values.mean()), 2)}
        if other is not None:
            change = values - other[measure]
            drawn = change[rng.integers(0, len(change), (ROUNDS, len(change)))].mean(axis=1)
            low, high = np.percentile(drawn, [2.5, 97.5])
            report[measure] |= {
                "other": round(float(other[measure].mean()), 2),
                "difference": round(float(change.mean()), 2),
                "interval_95": [round(float(low), 2), round(float(high), 2)],
            }
    return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--against", help="the folder of another model")
    given = parser.parse_args()
    embedder = open_embedder(given.model)
    other = open_embedder(given.against) if given.against else None
    report: dict[str, object] = {"model": embedder.spec.fingerprint()}
    for name, task in (("caltech101", classes), ("videos", clips), ("photographs", photographs)):
        found = task(given.data, embedder)
        queries = len(found["R@1"])
        report[name] = {"queries": queries, **compared(found, task(given.data, other) if other else None)}
    print(json.dumps({**report, **machine()}, indent=1))


if __name__ == "__main__":
    main()
