"""What a published OpenCLIP model is, from its configuration: its identity and how it wants its pictures."""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from retrieval.config import ModelSpec, Preprocessing, Resize
from retrieval.embedding.names import ClipName
from retrieval.embedding.weights import checkpoint_in, file_digest
from retrieval.errors import ModelError, ModelNotFound
from retrieval.messages import _, reason_of

_RESIZE: dict[str, Resize] = {"shortest": "crop", "longest": "pad", "squash": "squash"}
_PREPROCESS = ("mean", "std", "interpolation", "resize_mode")
_TOKENIZER = ("context_length", "hf_tokenizer_name", "tokenizer_kwargs", "tokenizer_mode")


class Published(NamedTuple):
    """A model resolved to what is on this machine.

    ``builder`` is the name OpenCLIP makes the architecture by, ``config`` its ``model_cfg``, ``preprocess`` its
    ``preprocess_cfg``. ``resizable`` is whether OpenCLIP may stretch position embeddings to the architecture.
    """

    builder: str
    config: dict[str, Any]
    preprocess: dict[str, Any]
    weights: Path
    quick_gelu: bool
    resizable: bool


def overlay(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preprocessing keys of ``entry`` over those of ``defaults``."""
    return {key: defaults[key] if entry.get(key) is None else entry[key] for key in _PREPROCESS}


def from_folder(name: ClipName, folder: Path, defaults: Mapping[str, Any]) -> Published:
    """Read a folder with ``open_clip_config.json`` and a checkpoint (a hub snapshot, or one's own).

    Raises:
        ModelNotFound: there are no weights in it.
        ModelError: the configuration cannot be read.
    """
    path = folder / "open_clip_config.json"
    try:
        data = json.loads(path.read_bytes())
        config = dict(data["model_cfg"])
        for key in ("embed_dim", "vision_cfg", "text_cfg"):
            config[key]
        preprocess = overlay(defaults, data.get("preprocess_cfg") or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(
            _("{path} cannot be read ({reason:.100}); save the model again").format(path=path, reason=reason)
        ) from None
    weights = checkpoint_in(folder)
    if weights is None:
        if name.hub:
            said = _(
                "{folder} holds no weights, or several files that could be them; run: sightseek models prepare {name}"
            )
        else:
            said = _("{folder} holds no weights, or several files that could be them; put its checkpoint there")
        raise ModelNotFound(said.format(folder=folder, name=name.text))
    return Published(f"local-dir:{folder}", config, preprocess, weights, bool(config.get("quick_gelu")), bool(name.hub))


def spec_of(name: ClipName, found: Published) -> ModelSpec:
    """Return the identity: the digest is over architecture and the bytes of the weights' file.

    Raises:
        ModelError: the weights cannot be read.
    """
    preprocessing = preprocessing_of(found)
    try:
        weights = file_digest(found.weights)
    except OSError as error:
        raise ModelError(
            _("{weights} cannot be read ({reason}); bring the file back").format(
                weights=found.weights, reason=reason_of(error)
            )
        ) from None
    whole = {"config": found.config, "weights": weights, "quick_gelu": found.quick_gelu}
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    text = found.config["text_cfg"]
    handling = json.dumps({key: text[key] for key in _TOKENIZER if key in text}, sort_keys=True)
    return ModelSpec(name.text, int(found.config["embed_dim"]), digest, preprocessing, text=handling)


def preprocessing_of(found: Published) -> Preprocessing:
    """Return how the model wants its pictures."""
    size = found.config["vision_cfg"].get("image_size", 224)
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    pre = found.preprocess
    return Preprocessing(
        height,
        width,
        _RESIZE[pre["resize_mode"]],
        "bilinear" if pre["interpolation"] == "bilinear" else "bicubic",
        mean=_three(pre["mean"]),
        std=_three(pre["std"]),
    )


def nearest(name: str, names: Sequence[str]) -> str:
    """Say which of ``names`` are closest to a mistyped one."""
    lower = {known.lower(): known for known in names}
    close = [lower[found] for found in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)]
    return _("the nearest are {names}").format(names=", ".join(close)) if close else _("see: sightseek models list")


def _three(values: float | Sequence[float]) -> tuple[float, float, float]:
    if isinstance(values, int | float):
        return float(values), float(values), float(values)
    return float(values[0]), float(values[1]), float(values[2])
