"""What an exported folder can do, measured through ONNX Runtime alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from retrieval.training.data import read_captions, read_view
from retrieval.training.image_tower import SIDE
from retrieval.training.measure import FloatArray, Recall, bootstrap, class_recall, recall
from retrieval.training.text_tower import MAX_TOKENS


class Towers:
    """Both towers of a model folder, for measuring."""

    def __init__(self, folder: Path) -> None:
        """Load `image.onnx`, `text.onnx` and the tokenizer of `folder`."""
        quiet = ort.SessionOptions()
        quiet.log_severity_level = 3  # it warns of the input that asks for cells
        self._image = ort.InferenceSession(folder / "image.onnx", quiet, providers=["CPUExecutionProvider"])
        self._text = ort.InferenceSession(folder / "text.onnx", quiet, providers=["CPUExecutionProvider"])
        self._tokenizer = load_tokenizer(folder / "tokenizer.json")

    def images(self, paths: Sequence[Path], batch: int = 16) -> FloatArray:
        """Vectors (n, 512) of picture files."""
        parts = []
        for at in range(0, len(paths), batch):
            pixels = np.stack([read_view(path, SIDE) for path in paths[at : at + batch]])
            parts.append(self._image.run(["vectors"], {"pixels": pixels})[0])
        return np.concatenate(parts)

    def texts(self, texts: Sequence[str], batch: int = 64) -> FloatArray:
        """Vectors (n, 512) of texts."""
        found = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(found)), key=lambda i: len(found[i]))
        parts = []
        for at in range(0, len(order), batch):
            rows = order[at : at + batch]
            ids = np.zeros((len(rows), max(len(found[i]) for i in rows)), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(rows):
                ids[row, : len(found[i])] = found[i]
                mask[row, : len(found[i])] = 1
            parts.append(self._text.run(["vectors"], {"input_ids": ids, "attention_mask": mask})[0])
        sorted_vectors = np.concatenate(parts)
        vectors: FloatArray = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return vectors


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer with the context length of the text tower."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


class Figures(NamedTuple):
    """Recall of a split with 95 % intervals: rows of R@1, R@5, R@10, columns low and high."""

    recall: Recall
    text_interval: FloatArray
    image_interval: FloatArray


def measure_split(towers: Towers, folder: Path, split: str) -> Figures:
    """Recall of one split of a folder with images/ and captions.tsv."""
    found = read_captions(folder, [split])
    images = towers.images([folder / "images" / name for name in found.names])
    similarity = images @ towers.texts(found.captions).T
    return Figures(recall(similarity, found.owner), *bootstrap(similarity, found.owner))


def measure_classes(towers: Towers, folder: Path) -> float:
    """Class retrieval R@1 of a folder whose captions name classes: any picture with the same caption is right."""
    found = read_captions(folder, ["test"])
    names = sorted(set(found.captions))
    images = towers.images([folder / "images" / name for name in found.names])
    labels = np.empty(len(found.names), np.int64)
    labels[found.owner] = [names.index(caption) for caption in found.captions]
    return class_recall(images, towers.texts(names), labels)


def as_rows(figures: Figures) -> str:
    """Two Markdown table cells: text to image and image to text, each R@1 / R@5 / R@10 with its interval."""
    cells = []
    pairs = (
        (figures.recall.text_to_image, figures.text_interval),
        (figures.recall.image_to_text, figures.image_interval),
    )
    for values, interval in pairs:
        cells.append(
            " / ".join(f"{v:.1f} ({low:.1f}-{high:.1f})" for v, (low, high) in zip(values, interval, strict=True))
        )
    return " | ".join(cells)
