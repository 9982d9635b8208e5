"""Any OpenCLIP model as a model folder: two ONNX files, a tokenizer and `model.json`, read without PyTorch."""

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.config import DEFAULT_MODEL, ModelSpec
from retrieval.embedding import model_folder
from retrieval.embedding.base import normalise
from retrieval.embedding.folder import digest_of, read_model_folder
from retrieval.embedding.mapped import weights_name, write_mapped
from retrieval.embedding.names import ClipName, parse_name
from retrieval.embedding.onnx import OnnxEmbedder
from retrieval.embedding.published import Published, spec_of
from retrieval.embedding.towers import load_libraries, load_tokenizer, load_tower, resolve
from retrieval.errors import ModelError
from retrieval.messages import _, reason_of
from retrieval.training.clip_words import TRICKY, Words, encoder, words_of
from retrieval.training.placing import beside, check_place, swap
from retrieval.training.straight import straight_attention
from retrieval.types import FloatMatrix

OPSET = 17
LEAST_COSINE = 0.9999
"""A vector of the exported model that is further from PyTorch's than this is not accepted."""
MOST_BYTES = 2 * 10**9
"""An ONNX file of more weights than this cannot be one file (protobuf's limit is 2 GiB)."""
PICTURES = 11
"""Pictures the towers are compared on: more than one batch, so that a size frozen into the graph is found."""


class Exported(NamedTuple):
    """What came of an export: the folder, the sizes of its towers, and the lowest cosine to PyTorch's vectors."""

    folder: Path
    image_bytes: int
    text_bytes: int
    cosine: float


class ImageSide(nn.Module):
    """uint8 pixels (n, height, width, 3) to vectors (n, dim), rows of length 1; mean and deviation are inside."""

    def __init__(self, model: nn.Module, spec: ModelSpec) -> None:
        """Wrap a model whose image tower is loaded."""
        super().__init__()
        self.model = model
        for name in ("mean", "std"):
            values = torch.tensor(getattr(spec.preprocessing, name), dtype=torch.float32)
            self.register_buffer(name, values.view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """As the class says."""
        x = pixels.permute(0, 3, 1, 2).float() / 255.0
        x = (x - self.get_buffer("mean")) / self.get_buffer("std")
        return functional.normalize(self.model.encode_image(x), dim=-1)  # type: ignore[operator]


class TextSide(nn.Module):
    """Token ids (n, context) to vectors (n, dim), rows of length 1."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model whose text tower is loaded."""
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """As the class says."""
        return functional.normalize(self.model.encode_text(ids), dim=-1)  # type: ignore[operator]


def export_clip(
    name: str,
    out: Path,
    *,
    force: bool,
    report: Callable[[str], None],
    finish: Callable[[Path], object] | None = None,
) -> Exported:
    """Write the OpenCLIP model `name` (as `--model` takes it, or a training run's folder) to the folder `out`.

    It is written beside `out`, compared with PyTorch on drawn pictures and on texts that are hard to tokenize, and
    renamed only then. `report` is told what is being done. `finish` may change the folder before that.

    Raises:
        ModelNotFound: no such model, or its weights are not on this machine.
        ModelError: `out` is there (with `force`: and is no model folder), nothing needs to be exported, or the model
            has no equal form in ONNX.
    """
    folder_of = _best_of(model_folder(name))
    if folder_of is not None and not (folder_of / "open_clip_config.json").is_file():
        read_model_folder(folder_of)
        used = name if name == DEFAULT_MODEL else folder_of
        raise ModelError(_("{used} is read without PyTorch as it is; use it with --model {used}").format(used=used))
    out = out.absolute()
    check_place(out, force)
    clip_name = parse_name(name if folder_of is None else str(folder_of))
    open_clip = load_libraries(name)[1]
    found = resolve(clip_name, open_clip)
    spec = spec_of(clip_name, found)
    words = words_of(load_tokenizer(found, name), context_of(found), name)
    with beside(out) as folder:
        exported = _write(folder, clip_name, found, words, report)
        if finish is not None:
            finish(folder)
            exported = exported._replace(image_bytes=tower_bytes(folder, "image"))
        swap(folder, out)
    report(_("{name}: lowest cosine to PyTorch's vectors {cosine:.6f}").format(name=spec.name, cosine=exported.cosine))
    return exported._replace(folder=out)


def _best_of(folder: Path | None) -> Path | None:
    """The model of a training run, where a folder is one; else the folder itself."""
    best = folder / "best" if folder else None
    kept = ("model.json", "open_clip_config.json")
    if folder and best and best.is_dir() and not any((folder / file).is_file() for file in kept):
        return best
    return folder


def context_of(found: Published) -> int:
    """How many tokens the text tower reads."""
    return int(found.config["text_cfg"].get("context_length", 77))


def _write(folder: Path, name: ClipName, found: Published, words: Words, report: Callable[[str], None]) -> Exported:
    """Fill the folder; both towers are never in memory together."""
    spec, context = spec_of(name, found), context_of(found)
    (folder / "tokenizer.json").write_text(words.content, encoding="utf-8")
    pixels, ids = drawn_pixels(spec), torch.tensor(list(map(encoder(words, context), TRICKY)))
    report(_("writing the image tower of {name}").format(name=spec.name))
    image = ImageSide(load_tower(found, "image", "fp32", "cpu", spec), spec)
    images = _write_tower(image, torch.from_numpy(pixels), "pixels", folder / "image.onnx", spec.name)
    del image
    report(_("writing the text tower of {name}").format(name=spec.name))
    text = TextSide(load_tower(found, "text", "fp32", "cpu", spec))
    texts = _write_tower(text, ids, "input_ids", folder / "text.onnx", spec.name)
    del text
    _describe(folder, name, found, words)
    report(_("comparing"))
    embedder = OnnxEmbedder(folder, spec.name, "cpu")
    lowest = min(_lowest(images, embedder.embed_pixels(pixels)), _lowest(texts, embedder.embed_texts(TRICKY)))
    if not lowest >= LEAST_COSINE:
        raise ModelError(
            _("{name} gives other vectors in ONNX (cosine {lowest:.4f}); go on with it and PyTorch").format(
                name=spec.name, lowest=lowest
            )
        )
    return Exported(folder, tower_bytes(folder, "image"), tower_bytes(folder, "text"), lowest)


def tower_bytes(folder: Path, tower: str) -> int:
    """Return the size of a tower's files in a folder."""
    return sum(path.stat().st_size for path in folder.glob(f"{tower}.onnx*"))


def drawn_pixels(spec: ModelSpec) -> np.ndarray:
    """Pictures (n, height, width, 3) uint8 at the tower's size: plain, gradients, stripes, discs and noise."""
    height, width = spec.preprocessing.height, spec.preprocessing.width
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    rng = np.random.default_rng(0)
    made = np.empty((PICTURES, height, width, 3), np.uint8)
    for i in range(PICTURES):
        low, high = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        shapes = (x, (np.sin(x * (i + 3) * 9) > 0), (np.hypot(x - 0.5, y - 0.5) < 0.1 + i / 30), rng.random(x.shape))
        made[i] = low + (high - low) * np.asarray(shapes[i % len(shapes)], np.float64)[:, :, None]
    made[0] = 255
    return made


def _write_tower(side: nn.Module, inputs: Tensor, name: str, path: Path, model: str) -> FloatMatrix:
    """Write one tower, and return PyTorch's vectors for `inputs`."""
    size = sum(value.numel() * 4 for value in side.parameters())
    if size > MOST_BYTES:
        raise ModelError(
            _("a tower of {model} has {size:.1f} GB of weights and one ONNX file holds 2; use PyTorch").format(
                model=model, size=size / 1e9
            )
        )
    traced = path.with_suffix(".traced")
    side = side.eval().requires_grad_(False).to(memory_format=torch.contiguous_format)
    try:
        with torch.inference_mode(), _plain_attention():
            rows: FloatMatrix = side(inputs).float().numpy()
        with torch.no_grad(), _plain_attention(), straight_attention(), _quiet_tracing():
            torch.onnx.export(
                side, (inputs[:2],), str(traced), input_names=[name], output_names=["vectors"], opset_version=OPSET,
                dynamic_axes={name: {0: "n"}, "vectors": {0: "n"}}, dynamo=False,
            )  # fmt: skip
    except OSError as error:
        raise ModelError(
            _("{folder} cannot be written to ({reason}); make room").format(
                folder=path.parent.parent, reason=reason_of(error)
            )
        ) from None
    except Exception as error:  # the tracer's errors share no base
        raise ModelError(
            _("{model} has no form in ONNX ({reason:.120}); go on with it and PyTorch").format(
                model=model, reason=_one_line(error)
            )
        ) from None
    write_mapped(traced, path)
    traced.unlink()
    return normalise(rows)


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """PyTorch's fused attention of evaluation mode cannot be traced; the plain form gives the same."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _quiet_tracing() -> Iterator[None]:
    """Drop what the tracing exporter says of itself; its successor needs a package more and gives the same graphs.

    That a size was frozen into the graph, which is what it warns of, is checked on batches of another size.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", r"You are using the legacy TorchScript", DeprecationWarning)
        warnings.filterwarnings("ignore", r"The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", r"Exporting aten::index operator", UserWarning)
        warnings.filterwarnings("ignore", r"Constant folding", UserWarning)
        yield


def _lowest(one: FloatMatrix, two: FloatMatrix) -> float:
    return float((one.astype(np.float64) * two).sum(axis=1).min())


def _describe(folder: Path, name: ClipName, found: Published, words: Words) -> None:
    """Write `README.md`, with where the weights come from, and `model.json`, with the digests of the files."""
    spec = spec_of(name, found)
    files = {path.name: digest_of(path) for path in sorted(folder.iterdir())}
    how, short = spec.preprocessing, short_name(name)
    content = {
        "format": 1,
        "name": short,
        "version": spec.digest[:12],
        "dim": spec.dim,
        "image": {
            "file": "image.onnx",
            **_weights_of(folder, "image.onnx"),
            "height": how.height,
            "width": how.width,
            "resize": how.resize,
            "interpolation": how.interpolation,
        },
        "text": {
            "file": "text.onnx",
            **_weights_of(folder, "text.onnx"),
            "tokenizer": "tokenizer.json",
            "context_length": context_of(found),
            "padding": "max",
            "pad_id": words.pad_id,
            "lowercase": words.lowercase,
            "languages": list(words.languages),
        },
        "description": f"OpenCLIP's {short}, exported to ONNX.",
        "knows": "What its weights were trained on; see their publisher's page.",
        "files": files,
    }
    (folder / "model.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_readme(name, found, files), encoding="utf-8")


def _weights_of(folder: Path, tower: str) -> dict[str, str]:
    """What model.json says of the file of weights; nothing where all are small and in the tower's own file."""
    name = weights_name(tower)
    return {"weights": name} if (folder / name).is_file() else {}


def short_name(name: ClipName) -> str:
    """A name without the folders of this machine."""
    if name.folder:
        return name.folder.name
    return name.text.replace(str(name.file), name.file.name) if name.file else name.text


def _readme(name: ClipName, found: Published, files: dict[str, str]) -> str:
    digest = digest_of(found.weights)
    rows = "\n".join(f"| `{file}` | `{sha}` |" for file, sha in files.items())
    return f"""# {short_name(name)}, exported to ONNX

Written by `sightseek models export` from `{found.weights.name}` (SHA-256 `{digest}`), to be used with
`--model` and this folder's path. Vectors of this folder and of the original are alike to a cosine of {LEAST_COSINE}; a
collection is of one of the two.

## Licences

The weights keep the licence of their publisher, which an export does not change: read it on the page the weights came
from before you pass this folder on. The architecture is that of OpenCLIP (MIT licence). The tokenizer's vocabulary is
that of the original model.

## Files

| file | SHA-256 |
|---|---|
{rows}
"""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
