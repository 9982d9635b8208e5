"""rclip as a peer: the same weights, and rows as it keeps them, in a folder of its own.

rclip 3.3 looks for `visual.onnx`, `textual.onnx` and its vocabulary below `RCLIP_DATADIR`; when they are there it
downloads nothing. Its towers take `input`: ready pixels, and tokens.
"""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

_MODEL = Path("ViT-B-32-256-datacomp_s34b_b86k")
_TOKENIZER = Path("tokenizer") / "bpe_simple_vocab_16e6.txt.gz"
_SIDE = 256
_DIM = 512


class Rclip:
    """The command, with a folder for its models and its catalog."""

    def __init__(self, command: Path, home: Path) -> None:
        """Use ``command`` with ``home`` (made if missing)."""
        self.command = command
        self.home = home
        home.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """The environment to run it in."""
        return {**os.environ, "RCLIP_DATADIR": str(self.home)}

    def give_models(self, model: Path) -> None:
        """Write the towers of a model folder (ViT-B-32-256, as `models export` writes it) as rclip reads them.

        Raises:
            ImportError: onnx or OpenCLIP (for the vocabulary) is not installed.
        """
        import onnx
        import open_clip

        towers = self.home / _MODEL
        towers.mkdir(exist_ok=True)
        image = onnx.load(model / "image.onnx")
        first = next(node for node in image.graph.node if node.op_type == "Conv")
        _write(_from_tensor(image, first.input[0], ["n", 3, _SIDE, _SIDE]), towers / "visual.onnx")
        text = onnx.load(model / "text.onnx")
        _rename(text.graph, text.graph.input[0].name)
        text.graph.input[0].name = "input"
        _write(text, towers / "textual.onnx")
        (self.home / _TOKENIZER).parent.mkdir(exist_ok=True)
        shutil.copyfile(Path(open_clip.__path__[0]) / _TOKENIZER.name, self.home / _TOKENIZER)

    def indexing(self, query: str = "a dog") -> list[str]:
        """The command that brings the folder it runs in up to date, then searches."""
        return [str(self.command), query]

    def searching(self, query: str = "a dog") -> list[str]:
        """The command that searches without looking at the folder."""
        return [str(self.command), "--no-indexing", query]

    def forget(self) -> None:
        """Take the catalog away."""
        (self.home / "db.sqlite3").unlink(missing_ok=True)

    def fill(self, root: Path, vectors: Iterator[np.ndarray[Any, Any]]) -> int:
        """Note each file below ``root`` as indexed, with the next of ``vectors``; return how many there are.

        The catalog is one that rclip made: run :meth:`searching` once before.
        """
        rows = (
            (str(path), path.stat().st_mtime, path.stat().st_size, row.astype(np.float32).tobytes(), f"{path.name}")
            for path, row in zip(sorted(_files(root)), vectors, strict=False)
        )
        with contextlib.closing(sqlite3.connect(self.home / "db.sqlite3")) as catalog, catalog:
            catalog.execute("DELETE FROM images")
            catalog.executemany(
                "INSERT INTO images (filepath, modified_at, size, vector, hash) VALUES (?,?,?,?,?)", rows
            )
            return int(catalog.execute("SELECT count(*) FROM images").fetchone()[0])


def drawn(seed: int = 0) -> Iterator[np.ndarray[Any, Any]]:
    """Vectors of length 1 and of rclip's size without an end."""
    rng = np.random.default_rng(seed)
    while True:
        row = rng.standard_normal(_DIM)
        yield row / np.linalg.norm(row)


def _files(root: Path) -> Iterator[Path]:
    for folder, _folders, names in os.walk(root):
        for name in names:
            if name.endswith(".jpg"):
                yield Path(folder) / name


def _from_tensor(model: "ModelProto", tensor: str, shape: list[str | int]) -> "ModelProto":
    """Cut off what comes before a tensor of float32, which becomes the one input."""
    import onnx

    known = {output for node in model.graph.node for output in node.output}
    assert tensor in known
    model.graph.value_info.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape))
    cut = onnx.utils.Extractor(model).extract_model([tensor], [model.graph.output[0].name])
    _rename(cut.graph, tensor)
    cut.graph.input[0].name = "input"
    return cut


def _rename(graph: "GraphProto", tensor: str) -> None:
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == tensor:
                node.input[place] = "input"


def _write(model: "ModelProto", path: Path) -> None:
    import onnx

    onnx.save(model, path)
