"""The built-in model as it is shipped: its files, its vectors, its manners.

After a new model, `python -m tests.training.test_starter_folder` writes its golden vectors.
"""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.drawings import drawing

ort = pytest.importorskip("onnxruntime")
tokenizers = pytest.importorskip("tokenizers")

FOLDER = Path(__file__).resolve().parents[2] / "retrieval" / "models" / "starter"
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "starter.json"
SENTENCES = (
    "two dogs playing in the snow",
    "A man in a red shirt is climbing a rock .",
    "dog",
    "a photo of a lighthouse",
    "children run along the beach at sunset while a woman takes pictures",
)


class Shipped:
    """The towers of the folder."""

    def __init__(self) -> None:
        self.described = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
        self._image = ort.InferenceSession(FOLDER / "image.onnx", providers=["CPUExecutionProvider"])
        self._text = ort.InferenceSession(FOLDER / "text.onnx", providers=["CPUExecutionProvider"])
        self._tokenizer = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))

    def images(self, pictures: list[Image.Image]) -> np.ndarray:
        sized = [np.asarray(p.resize((260, 260), Image.Resampling.BICUBIC)) for p in pictures]
        return self._image.run(["vectors"], {"pixels": np.stack(sized)})[0]

    def texts(self, texts: list[str]) -> np.ndarray:
        rows = [self._tokenizer.encode(text).ids for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)], mask[i, : len(row)] = row, 1
        return self._text.run(["vectors"], {"input_ids": ids, "attention_mask": mask})[0]


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return Shipped()


def pictures() -> list[Image.Image]:
    return [drawing("red", "disc", 200), drawing("blue", "stripes", 260), drawing("yellow", "box", 333, shift=20)]


def golden() -> dict[str, np.ndarray]:
    stored = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return {kind: np.array(stored[kind], np.float32) for kind in ("images", "texts")}


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_the_files_are_the_ones_described(shipped: Shipped) -> None:
    assert {"image.onnx", "text.onnx", "tokenizer.json"} <= set(shipped.described["files"])
    for name, digest in shipped.described["files"].items():
        assert sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(digest in card for digest in shipped.described["files"].values())


def test_the_folder_is_small_and_complete() -> None:
    files = [f for f in FOLDER.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 64 * 2**20
    assert not [f.name for f in files if f.suffix not in {".onnx", ".json", ".md", ".npz", ".txt"}]
    assert len((FOLDER / "classes.txt").read_text(encoding="utf-8").splitlines()) == 1000
    assert {f.name for f in (FOLDER / "LICENSES").iterdir()} >= {"Apache-2.0.txt", "WordNet-3.0.txt", "NOTICE.txt"}


def test_vectors_are_the_golden_ones(shipped: Shipped) -> None:
    expected = golden()
    assert cosines(shipped.images(pictures()), expected["images"]).min() >= 0.999
    assert cosines(shipped.texts(list(SENTENCES)), expected["texts"]).min() >= 0.999


def test_vectors_have_length_one_and_differ(shipped: Shipped) -> None:
    for vectors in (shipped.images(pictures()), shipped.texts(list(SENTENCES))):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == shipped.described["dim"] == 512
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert (vectors @ vectors.T - np.eye(len(vectors))).max() < 0.95


def test_a_batch_does_not_change_its_rows(shipped: Shipped) -> None:
    many = [
        *pictures(),
        *(drawing(c, s, 180) for c in ("red", "green") for s in ("box", "disc")),
        drawing("green", "box"),
    ]
    together = shipped.images(many)
    alone = np.concatenate([shipped.images([p]) for p in many])
    assert np.abs(together - alone).max() < 1e-4
    together = shipped.texts([*SENTENCES, "a " * 60])[:5]
    alone = np.concatenate([shipped.texts([s]) for s in SENTENCES])
    assert np.abs(together - alone).max() < 1e-4


def test_case_and_the_closing_stop_hardly_matter(shipped: Shipped) -> None:
    forms = [
        "a brown dog runs through the snow",
        "A brown dog runs through the snow .",
        "A BROWN DOG runs through the snow.",
    ]
    plain, spaced, shouted = shipped.texts(forms)
    assert float(spaced @ shouted) > 0.9999
    assert float(plain @ spaced) > 0.97


def test_class_names_find_their_kind(shipped: Shipped) -> None:
    texts = shipped.texts(["a dog", "a puppy", "a man on a bicycle", "someone rides a bike", "a snowy mountain"])
    likeness = texts @ texts.T
    assert likeness[0, 1] > likeness[0, 2]
    assert likeness[2, 3] > likeness[2, 0]
    assert likeness[2, 3] > likeness[2, 4]


def write_golden() -> None:
    """Store the vectors of the folder as it is now, rounded to five digits."""
    made = Shipped()
    rows = {"images": made.images(pictures()), "texts": made.texts(list(SENTENCES))}
    content = {kind: [[round(float(x), 5) for x in row] for row in vectors] for kind, vectors in rows.items()}
    GOLDEN.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_golden()
