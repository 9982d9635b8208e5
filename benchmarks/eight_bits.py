"""Measures what eight bits cost in recall, on a trained transformer, and what they gain in pictures a second.

    python -m benchmarks.eight_bits FLICKR8K [--single DIR --int8 DIR] [--split dev] [--runs 5]

Recall: the text tower of the starter is a trained transformer; it is put into eight bits as `models export --int8`
does with image towers (scales from captions of train), and each caption of the split asks for its picture, in single
precision and in eight bits. Speed: two folders of one model, in single precision and in eight bits, embed noise in
turn, in batches as `index` makes them. `vnni` says whether the processor has instructions for whole numbers of eight
bits; without these the gain is smaller.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from retrieval.embedding.mapped import write_mapped
from retrieval.embedding.onnx import OnnxEmbedder
from retrieval.evaluation.datasets import Captions, picture_paths, read_captions
from retrieval.evaluation.measures import best_ranks, figures
from retrieval.media import open_picture
from retrieval.training.quantising import Feed, quantise, vectors_of
from retrieval.types import FloatMatrix

_SETTING, _COMPARING, _BATCH = 64, 128, 8


def tokens(embedder: OnnxEmbedder, texts: Sequence[str], batch: int = _BATCH) -> list[Feed]:
    """Return texts as what the text tower takes, in batches."""
    feeds: list[Feed] = []
    for at in range(0, len(texts), batch):
        rows = [embedder._encode(text) for text in texts[at : at + batch]]
        ids = np.full((len(rows), max(len(row.ids) for row in rows)), embedder.folder.text.pad_id, np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row.ids)], mask[number, : len(row.ids)] = row.ids, 1
        feeds.append({"input_ids": ids, "attention_mask": mask})
    return feeds


def pictures(embedder: OnnxEmbedder, paths: Sequence[Path]) -> FloatMatrix:
    """Embed the pictures of files."""
    side = max(embedder.spec.preprocessing.height, embedder.spec.preprocessing.width)
    rows = []
    for at in range(0, len(paths), _BATCH):
        part = [embedder.preprocess(open_picture(path, side)) for path in paths[at : at + _BATCH]]
        rows.append(embedder.embed_pixels(np.stack(part)))
    return np.concatenate(rows)


def recall(data: Path, split: str) -> dict[str, object]:
    """Return text to picture recall of the starter with its text tower in single precision and in eight bits."""
    import retrieval.models

    starter = OnnxEmbedder(Path(retrieval.models.__path__[0]) / "starter", "starter", "cpu")
    captions: Captions = read_captions(data / "captions.tsv", split)
    train = read_captions(data / "captions.tsv", "train").captions
    gallery = pictures(starter, picture_paths(data / "images", captions))
    pairs = np.stack([np.arange(len(captions.captions)), captions.picture], axis=1)
    some = [train[at] for at in np.random.default_rng(0).permutation(len(train))[: _SETTING + _COMPARING]]
    with tempfile.TemporaryDirectory() as temporary:
        single, eight = Path(temporary) / "text.onnx", Path(temporary) / "eight.onnx"
        write_mapped(starter.folder.path / starter.folder.text_file, single)
        made = quantise(single, eight, tokens(starter, some[:_SETTING], 4), tokens(starter, some[_SETTING:]))
        asked = tokens(starter, captions.captions)
        found = {name: figures(best_ranks(vectors_of(path, asked), gallery, pairs))
                 for name, path in (("single", single), ("int8", eight))}  # fmt: skip
    return {"split": split, "queries": len(pairs), **found, **{f"tower_{key}": value for key, value in
            made._asdict().items()}}  # fmt: skip


def speed(single: Path, eight: Path, runs: int) -> dict[str, float]:
    """Return pictures a second of two model folders, and the median of their ratios."""
    embedders = {"single": OnnxEmbedder(single, "single", "cpu"), "int8": OnnxEmbedder(eight, "int8", "cpu")}
    how = embedders["single"].spec.preprocessing
    ready = np.random.default_rng(0).integers(0, 256, (4 * _BATCH, how.height, how.width, 3), np.uint8)
    rates: dict[str, list[float]] = {name: [] for name in embedders}
    for number in range(runs + 1):
        for name, embedder in embedders.items():
            began_s = time.perf_counter()
            embedder.embed_pixels(ready)
            if number:  # the first reads the model
                rates[name].append(len(ready) / (time.perf_counter() - began_s))
    ratio = statistics.median(a / b for a, b in zip(rates["int8"], rates["single"], strict=True))
    return {**{f"{name}_pictures_s": round(statistics.median(row), 2) for name, row in rates.items()},
            "int8_to_single": round(ratio, 2)}  # fmt: skip


def has_vnni() -> bool:
    """Say whether the processor multiplies whole numbers of eight bits in one instruction; Linux only."""
    info = Path("/proc/cpuinfo")
    return info.exists() and "vnni" in info.read_text(encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--single", type=Path)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, object] = {"vnni": has_vnni()}
    if given.single and given.int8:
        found["speed"] = speed(given.single, given.int8, given.runs)
        sys.stderr.write(f"{found['speed']}\n")
    found["recall"] = recall(given.data, given.split)
    print(json.dumps({**found, **machine()}, indent=1))


if __name__ == "__main__":
    main()
