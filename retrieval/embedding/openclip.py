"""Runs any OpenCLIP model with PyTorch, on the processor or on CUDA; the only importer of both outside training.

Each tower is built and loaded alone: OpenCLIP's own ``create_model`` makes the architecture with the other tower
shrunk to almost nothing, and only the weights of the wanted tower are read from the (memory-mapped) checkpoint. A text
query therefore never touches the weights of the image tower.
"""

import dataclasses
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Device, ModelSpec, Preprocessing
from retrieval.embedding.base import ImageInput, cut_note, normalise, usable
from retrieval.embedding.names import ClipName
from retrieval.embedding.published import Published, from_folder, nearest, overlay, spec_of
from retrieval.embedding.recommended import size_note
from retrieval.embedding.surroundings import offline, quiet
from retrieval.embedding.weights import HubFile, cached_hub_file, cached_weights
from retrieval.errors import ModelError, ModelNotFound
from retrieval.messages import _
from retrieval.types import FloatMatrix

Tower = Literal["image", "text"]

_BATCH_CPU, _BATCH_CUDA, _BATCH_TEXT = 16, 128, 64
_NO_VISION = {"layers": 1, "width": 64, "head_width": 64, "patch_size": 16, "image_size": 16}
_NO_TEXT = {"context_length": 4, "vocab_size": 4, "width": 64, "heads": 1, "layers": 1}
_NO_DECODER = {"context_length": 4, "vocab_size": 4, "width": 64, "heads": 1, "layers": 1}
_WORDS_PER_TOKEN = 16


class OpenClipEmbedder(ImageInput):
    """Both towers of an OpenCLIP model; each is loaded when it is first needed. Safe to call from many threads."""

    def __init__(self, name: ClipName, device: Device = "auto", threads: int = 0) -> None:
        """Find the weights of ``name`` and say what they are; nothing is downloaded and no tower loaded yet.

        Raises:
            ModelNotFound: the extra ``clip`` is missing, the name is unknown, or its weights are not on this machine.
            ModelError: the configuration cannot be read, or CUDA was asked for and is not there.
        """
        torch, open_clip = load_libraries(name.text)
        self._found = resolve(name, open_clip)
        self._device = _device(device, torch)
        self._precision = _precision(self._device)
        if threads:
            torch.set_num_threads(threads)
        self.spec = spec_of(name, self._found)
        self.dim = self.spec.dim
        self.batch_size = _BATCH_CUDA if self._device == "cuda" else _BATCH_CPU
        self._lock = threading.Lock()
        self._towers: dict[Tower, Any] = {}
        self._tokenizer: Callable[..., Any] | None = None

    def embed_texts(self, texts: Sequence[str]) -> FloatMatrix:
        """Embed texts to ``(n, dim)`` in their order.

        Raises:
            ModelError: the text tower or tokenizer cannot be loaded, or gives no usable vector.
        """
        out = np.empty((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _BATCH_TEXT):
            part = [self._short(text) for text in texts[start : start + _BATCH_TEXT]]
            out[start : start + len(part)] = normalise(self._run_texts(part))
        bad = np.flatnonzero(~usable(out))
        if len(bad):
            raise ModelError(
                _("model {name} gives no usable vector for {text!r:.60}; use other words").format(
                    name=self.spec.name, text=texts[bad[0]]
                )
            )
        return out

    def text_notes(self, text: str) -> list[str]:
        """Return one line when ``text`` is longer than the text tower reads, else nothing."""
        tokenizer = self._words()
        longer = self._context + 1
        # With one place more, the last is padding unless the text needs it.
        if len(text) == len(self._short(text)):
            padding = tokenizer([""], context_length=longer)[0][-1]
            if tokenizer([text], context_length=longer)[0][-1] == padding:
                return []
        return cut_note(self._short(text), lambda part: tokenizer([part])[0].tolist())

    @property
    def _context(self) -> int:
        return int(self._found.config.get("text_cfg", {}).get("context_length", 77))

    def _short(self, text: str) -> str:
        # A text of megabytes is cut before the tokenizer sees it, far beyond what the tower reads.
        return text[: _WORDS_PER_TOKEN * 4 * self._context]

    def _run_texts(self, texts: list[str]) -> FloatMatrix:
        import torch

        tokens = self._words()(texts).to(self._device)
        model = self._tower("text")
        with torch.inference_mode():
            return _to_rows(model.encode_text(tokens))

    def _run_images(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        import torch

        model = self._tower("image")
        with torch.inference_mode():
            pixels = torch.from_numpy(np.array(batch)).to(self._device)
            x = pixels.permute(0, 3, 1, 2).float().div_(255.0)
            x = x.sub_(self._channels("mean")).div_(self._channels("std"))
            x = x.to(dtype=_dtype(self._precision), memory_format=torch.channels_last)
            return _to_rows(model.encode_image(x))

    def _channels(self, which: Literal["mean", "std"]) -> Any:  # noqa: ANN401 - torch comes late
        import torch

        values = getattr(self.spec.preprocessing, which)
        return torch.tensor(values, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)

    def _tower(self, which: Tower) -> Any:  # noqa: ANN401 - torch comes late
        with self._lock:
            if which not in self._towers:
                self._towers[which] = load_tower(self._found, which, self._precision, self._device, self.spec)
            return self._towers[which]

    def _words(self) -> Callable[..., Any]:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = load_tokenizer(self._found, self.spec.name)
            return self._tokenizer


def load_libraries(name: str) -> tuple[Any, Any]:
    """Import PyTorch and OpenCLIP.

    Raises:
        ModelNotFound: the extra ``clip`` is not installed; the line names ``name`` and the command that installs it.
    """
    try:
        import open_clip
        import torch
    except ImportError:
        raise ModelNotFound(
            _("{name} needs PyTorch and OpenCLIP; run: pip install 'sightseek[clip]'").format(name=name)
        ) from None
    return torch, open_clip


def published_entry(name: ClipName, open_clip: Any) -> dict[str, Any]:  # noqa: ANN401 - a module
    """Return OpenCLIP's table entry of ``ARCH/TAG``.

    Raises:
        ModelNotFound: there is none; the line names the nearest.
    """
    entry: dict[str, Any] = open_clip.get_pretrained_cfg(name.arch, name.tag)
    if not entry:
        names = [f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained()]
        raise ModelNotFound(
            _("OpenCLIP has no {arch}/{tag}; {nearest}").format(
                arch=name.arch, tag=name.tag, nearest=nearest(f"{name.arch}/{name.tag}", names)
            )
        )
    return entry


def resolve(name: ClipName, open_clip: Any) -> Published:  # noqa: ANN401 - a module
    """Find configuration and weights of ``name`` on this machine.

    Raises:
        ModelNotFound: unknown, or not on this machine.
        ModelError: the configuration cannot be read.
    """
    if name.hub or name.folder:
        return from_folder(name, name.folder or _hub_folder(name), _defaults())
    config = open_clip.get_model_config(name.arch)
    if config is None:
        raise ModelNotFound(
            _("OpenCLIP has no {arch}; {nearest}").format(
                arch=name.arch, nearest=nearest(name.arch, open_clip.list_models())
            )
        )
    entry = published_entry(name, open_clip) if name.tag else _shared_entry(name.arch, open_clip)
    weights = name.file or cached_weights(entry)
    if weights is None:
        size = size_note(name.text)
        raise ModelNotFound(
            _("{name} is not on this machine; run: sightseek models prepare {name}{size}").format(
                name=name.text, size=size
            )
        )
    quick = bool(config.get("quick_gelu") or (name.tag and entry.get("quick_gelu")))
    return Published(name.arch, config, overlay(_defaults(), entry), weights, quick, bool(name.tag))


def _shared_entry(arch: str, open_clip: Any) -> dict[str, Any]:  # noqa: ANN401 - a module
    """Return what all published weights of an architecture agree on (SigLIP's are not normalised as CLIP's are)."""
    entries = [open_clip.get_pretrained_cfg(arch, tag) for tag in open_clip.list_pretrained_tags_by_model(arch)]
    keys = ("mean", "std", "interpolation", "resize_mode")
    first = entries[0] if entries else {}
    return {key: first.get(key) for key in keys if all(entry.get(key) == first.get(key) for entry in entries)}


def _defaults() -> dict[str, Any]:
    from open_clip.transform import PreprocessCfg

    return dataclasses.asdict(PreprocessCfg())


def _hub_folder(name: ClipName) -> Path:
    found = cached_hub_file(HubFile(name.hub, "open_clip_config.json"))
    if found is None:
        raise ModelNotFound(
            _("{name} is not on this machine; run: sightseek models prepare {name}").format(name=name.text)
        )
    return found.parent


def download(name: ClipName, entry: dict[str, Any]) -> Path:
    """Fetch weights through OpenCLIP to its own cache, and return the file.

    Raises:
        ModelError: the download broke off.
    """
    import open_clip

    try:
        with warnings.catch_warnings(action="ignore"):
            return Path(open_clip.download_pretrained(entry))
    except Exception as error:  # the errors of the hub's client, urllib and the file system
        raise ModelError(
            _("{name} could not be fetched ({reason:.160}); try again later").format(
                name=name.text, reason=_one_line(error)
            )
        ) from None


def fetch_rest(name: ClipName) -> None:
    """Fetch what a model needs besides its weights and is not here: configuration, tokenizer, a text tower's shape.

    Raises:
        ModelNotFound: one of them cannot be had.
    """
    import open_clip

    if name.hub and cached_hub_file(HubFile(name.hub, "open_clip_config.json")) is None:
        try:
            open_clip.factory.download_pretrained_from_hf(name.hub, filename="open_clip_config.json")
        except Exception as error:  # the hub's errors share no base
            raise ModelNotFound(
                _("{name} has no OpenCLIP configuration ({reason:.100})").format(
                    name=name.text, reason=_one_line(error)
                )
            ) from None
    found = resolve(name, open_clip)
    try:
        load_tokenizer(found, name.text)
    except ModelNotFound:
        load_tokenizer(found, name.text, alone=False)
    shape = found.config["text_cfg"].get("hf_model_name")
    if shape:
        from transformers import AutoConfig

        try:
            AutoConfig.from_pretrained(shape)
        except Exception as error:  # the hub's errors share no base
            raise ModelNotFound(
                _("the text tower of {name} cannot be had ({reason:.100})").format(
                    name=name.text, reason=_one_line(error)
                )
            ) from None


def load_tokenizer(found: Published, name: str, alone: bool = True) -> Callable[..., Any]:
    """Make OpenCLIP's tokenizer of a model (it pads and lower-cases as the model was trained with).

    Raises:
        ModelNotFound: it is kept on the hub and is not on this machine, or needs a package that is not installed.
    """
    import open_clip

    hub = bool(found.config.get("text_cfg", {}).get("hf_tokenizer_name"))
    options = {"local_files_only": True} if hub and alone else {}
    try:
        with quiet(), offline(alone):
            made: Callable[..., Any] = open_clip.get_tokenizer(found.builder, **options)
    except ImportError as error:
        raise ModelNotFound(
            _("the tokenizer of {name} needs {library}; run: pip install {library}").format(
                name=name, library=error.name
            )
        ) from None
    except Exception as error:  # the hub's and transformers' errors share no base
        raise ModelNotFound(
            _(
                "the tokenizer of {name} is not on this machine ({reason:.60}); run: sightseek models prepare {name}"
            ).format(name=name, reason=_one_line(error))
        ) from None
    return made


def load_tower(found: Published, which: Tower, precision: str, device: str, spec: ModelSpec) -> Any:  # noqa: ANN401
    """Build one tower and fill it with its part of the checkpoint."""
    import open_clip
    import torch

    others: dict[str, Any] = {"vision_cfg": _NO_VISION} if which == "text" else {"text_cfg": _NO_TEXT}
    if "multimodal_cfg" in found.config:
        others["multimodal_cfg"] = _NO_DECODER
    try:
        with quiet(), offline(True):
            model = open_clip.create_model(
                found.builder, load_weights=False, pretrained_text=False, force_quick_gelu=found.quick_gelu,
                precision=precision, device="cpu", **others,
            )  # fmt: skip
            _fill(model, found, which)
    except ModelError:
        raise
    except ImportError as error:
        raise ModelNotFound(
            _("{name} needs {library}; run: pip install {library}").format(name=spec.name, library=error.name)
        ) from None
    except Exception as error:  # a wrong checkpoint fails in many ways, none with a type of its own
        raise ModelError(
            _("{weights} is not usable as {name} ({reason:.160})").format(
                weights=found.weights, name=spec.name, reason=_one_line(error)
            )
        ) from None
    if which == "image" and not _same_size(model.visual, spec.preprocessing):
        raise ModelError(
            _("{name} takes pictures of {image_size}, its configuration says otherwise").format(
                name=spec.name, image_size=model.visual.image_size
            )
        )
    model = model.to(device=device, memory_format=torch.channels_last)
    return model.eval().requires_grad_(False)


def _fill(model: Any, found: Published, which: Tower) -> None:  # noqa: ANN401 - torch comes late
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

    state = convert_state_dict(model, _read_state(found.weights))
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    state = {key: value for key, value in state.items() if _belongs(key, which)}
    old = "text.transformer.embeddings.position_ids"
    if old in state and old not in model.state_dict():
        del state[old]
    if found.resizable:
        (resize_pos_embed if which == "image" else resize_text_pos_embed)(state, model)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    for key, value in state.items():
        if key in shapes and value.shape != shapes[key]:
            sizes = _("{key} is {shape}, not {wanted}").format(
                key=key, shape=tuple(value.shape), wanted=tuple(shapes[key])
            )
            raise ModelError(
                _("{weights} does not fit the architecture ({reason}); name the architecture it was made for").format(
                    weights=found.weights, reason=sizes
                )
            )
    result = model.load_state_dict(state, strict=False)
    missing = [key for key in result.missing_keys if _belongs(key, which)]
    if missing or result.unexpected_keys:
        if missing:
            wrong = _("lacks {name}").format(name=missing[0])
        else:
            wrong = _("has {name}").format(name=result.unexpected_keys[0])
        raise ModelError(
            _("{weights} does not fit the architecture ({reason}); name the architecture it was made for").format(
                weights=found.weights, reason=wrong
            )
        )


def _belongs(key: str, which: Tower) -> bool:
    if key.startswith("visual."):
        return which == "image"
    return which == "text" and not key.startswith(("text_decoder.", "logit_"))


def _read_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running any code in it; tensors stay on the disk until they are copied."""
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # files of the oldest format cannot be mapped
        found = torch.load(path, map_location="cpu", weights_only=True)
    state = found.get("state_dict", found)
    return {key.removeprefix("module."): value for key, value in state.items()}


def _same_size(visual: Any, how: Preprocessing) -> bool:  # noqa: ANN401 - torch comes late
    size = visual.image_size
    return (size, size) == (how.height, how.width) if isinstance(size, int) else tuple(size) == (how.height, how.width)


def _to_rows(features: Any) -> FloatMatrix:  # noqa: ANN401 - torch comes late
    rows: FloatMatrix = features.float().cpu().numpy()
    return rows


def _device(device: Device, torch: Any) -> str:  # noqa: ANN401 - a module
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(_("this PyTorch finds no CUDA device; check the driver (nvidia-smi), or use --device cpu"))
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def _precision(device: str) -> str:
    """Return OpenCLIP's word for the arithmetic: half on CUDA, single on any processor.

    With half precision, which some processors have, a vector would depend on the processor and on its neighbours.
    """
    return "fp16" if device == "cuda" else "fp32"


def _dtype(precision: str) -> Any:  # noqa: ANN401 - torch comes late
    import torch

    return {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
