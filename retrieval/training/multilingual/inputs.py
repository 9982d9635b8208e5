"""What fitting reads, computed once and kept: features of sentences, and vectors of pictures and English texts."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from retrieval.embedding import Embedder
from retrieval.embedding.base import processors
from retrieval.embedding.multilingual import FEATURES, SentenceFeatures
from retrieval.training.data import read_view
from retrieval.training.measure import FloatArray

_CHUNK = 256
_ROW_BYTES = 4 * FEATURES


class KeptFeatures:
    """Features of texts, kept in a folder for all models: they depend on the features' weights alone.

    `sentences-*.jsonl` holds a text a line, `sentences-*.f32` its row; a run that is broken off goes on where it was.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        """Read what is kept in `folder` (made if missing); `tell` is told of progress."""
        folder.mkdir(parents=True, exist_ok=True)
        # An engine for each processor, since the threads within one wait for one another at every layer.
        self._engines = [SentenceFeatures() for _ in range(processors())]
        stem = f"sentences-{self.digest()[:12]}"
        self._texts, self._rows = folder / f"{stem}.jsonl", folder / f"{stem}.f32"
        self._tell = tell
        self._place = {text: place for place, text in enumerate(self._kept())}

    def digest(self) -> str:
        """The SHA-256 (hex) of the features' weights."""
        return self._engines[0].digest()

    def compute(self, texts: Sequence[str]) -> FloatArray:
        """Features (n, 384) of texts, rows of length 1; equal texts are computed once."""
        if not texts:
            return np.empty((0, FEATURES), np.float32)
        missing = [text for text in dict.fromkeys(texts) if text not in self._place]
        step = _CHUNK * len(self._engines)
        for at in range(0, len(missing), step):
            if at // step % 10 == 0:
                self._tell(f"features of {len(missing)} sentences, {at} done")
            self._keep(missing[at : at + step])
        stored = np.memmap(self._rows, np.float32, "r", shape=(len(self._place), FEATURES))
        found: FloatArray = np.array(stored[[self._place[text] for text in texts]])
        return found

    def _kept(self) -> Iterator[str]:
        """The texts whose rows are whole; what a broken run left beyond them is cut off."""
        if not (self._texts.is_file() and self._rows.is_file()):
            self._texts.write_bytes(b"")
            self._rows.write_bytes(b"")
        lines = self._texts.read_bytes().split(b"\n")[:-1]
        whole = min(len(lines), self._rows.stat().st_size // _ROW_BYTES)
        os.truncate(self._texts, sum(len(line) + 1 for line in lines[:whole]))
        os.truncate(self._rows, whole * _ROW_BYTES)
        for line in lines[:whole]:
            yield json.loads(line)

    def _keep(self, texts: Sequence[str]) -> None:
        shares = [texts[at : at + _CHUNK] for at in range(0, len(texts), _CHUNK)]
        with ThreadPoolExecutor(len(shares)) as pool:
            found = np.concatenate(list(pool.map(lambda e, s: e.compute(s), self._engines, shares)))
        with self._rows.open("ab") as rows:
            rows.write(np.ascontiguousarray(found, "<f4").tobytes())
        with self._texts.open("a", encoding="utf-8", newline="\n") as lines:
            lines.writelines(json.dumps(text) + "\n" for text in texts)
        for text in texts:
            self._place[text] = len(self._place)


class KeptVectors:
    """Vectors of one model, kept in a folder under names that depend on the model and on what is embedded."""

    def __init__(self, folder: Path, model: Embedder, tell: Callable[[str], None]) -> None:
        """Keep what `model` gives in `folder` (made if missing); `tell` is told of progress."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._model, self._tell = folder, model, tell

    def pictures(self, paths: Sequence[Path], view: int = 0, seed: int = 0) -> FloatArray:
        """Vectors (n, dim) of pictures; view 0 is the whole picture, any other a random part of it."""
        side = self._model.spec.preprocessing.height

        def compute(at: int) -> FloatArray:
            rows = range(at, min(at + _CHUNK, len(paths)))
            drawn = [np.random.default_rng([seed, view, i]) if view else None for i in rows]
            pixels = [read_view(paths[i], side, rng) for i, rng in zip(rows, drawn, strict=True)]
            return self._model.embed_pixels(np.stack(pixels))

        key = ["pictures", str(view), str(seed if view else 0), *(path.name for path in paths)]
        return self._once(key, len(paths), compute, f"{len(paths)} pictures, view {view}")

    def texts(self, texts: Sequence[str]) -> FloatArray:
        """Vectors (n, dim) of English texts by the model's own text tower."""
        if not texts:
            return np.empty((0, self._model.dim), np.float32)

        def compute(at: int) -> FloatArray:
            return self._model.embed_texts(texts[at : at + _CHUNK])

        return self._once(["texts", *texts], len(texts), compute, f"{len(texts)} English texts")

    def _once(self, key: Sequence[str], count: int, compute: Callable[[int], FloatArray], what: str) -> FloatArray:
        digest = hashlib.sha256("\0".join([self._model.spec.digest, *key]).encode("utf-8", "surrogatepass")).hexdigest()
        file = self._folder / f"vectors-{digest[:16]}.npy"
        if not file.is_file():
            self._tell(f"vectors of {what}")
            part = file.with_suffix(".part.npy")
            np.save(part, np.concatenate([compute(at) for at in range(0, count, _CHUNK)]))
            part.replace(file)
        found: FloatArray = np.load(file, allow_pickle=False)
        return found
