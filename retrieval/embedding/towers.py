"""Finds OpenCLIP models on this machine, and builds their towers and tokenizers.

Each tower is built and loaded alone: OpenCLIP's own ``create_model`` makes the architecture with the other tower
shrunk to almost nothing, and only the weights of the wanted tower are read from the (memory-mapped) checkpoint. A text
query therefore never touches the weights of the image tower.
"""

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from retrieval.config import ModelSpec, Preprocessing
from retrieval.embedding.names import ClipName
from retrieval.embedding.published import Published, from_folder, nearest, overlay
from retrieval.embedding.recommended import size_note
from retrieval.embedding.surroundings import offline, quiet
from retrieval.embedding.weights import HubFile, cached_hub_file, cached_weights
from retrieval.errors import ModelError, ModelNotFound
from retrieval.messages import _

Tower = Literal["image", "text"]

_NO_VISION = {"layers": 1, "width": 64, "head_width": 64, "patch_size": 16, "image_size": 16}
_NO_TEXT = {"context_length": 4, "vocab_size": 4, "width": 64, "heads": 1, "layers": 1}
_NO_DECODER = {"context_length": 4, "vocab_size": 4, "width": 64, "heads": 1, "layers": 1}


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
