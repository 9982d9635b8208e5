"""The torch model back from an exported model folder, to train it further: nothing but the folder is read.

The files hold every weight under its name, large ones as int8 codes with a scale per channel, so the model that comes
back is the one that is shipped, not the one before rounding. Writing it again gives the same codes. The scale of the
contrastive loss is not part of a folder: it starts anew.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer

from retrieval.embedding.folder import ModelFolder, read_model_folder
from retrieval.errors import ModelError
from retrieval.messages import _
from retrieval.training.graph import FloatArray, quantise
from retrieval.training.hubs import LIMIT, SIDES, Balanced, Hubs, Towers, plain
from retrieval.training.image_tower import BLOCKS, CUT, Weights
from retrieval.training.model import DIM, Ensemble, Ids, Starter
from retrieval.training.report import load_tokenizer
from retrieval.training.sources import prompt
from retrieval.training.tail import Tail
from retrieval.training.text_tower import FROZEN, TextTower

CLASSES = "classes.txt"
MOST_BYTES = 512 * 2**20
"""Larger files are not read: a starter's tower is a few tens of megabytes."""
MOST_MEMBERS = 16
MOST_LAYERS = 64

Array = npt.NDArray[np.generic]
Stored = Mapping[str, FloatArray]


class Reloaded(NamedTuple):
    """A model folder as it can be trained further and exported again.

    `pretrained` are the weights `features.image_features` computes features with and `export.image_model` writes the
    trunk from; `classes` the names of the class table's rows; `tokenizer` cuts at the tower's context length and
    does not pad.
    """

    model: Towers
    pretrained: Weights
    classes: list[str]
    tokenizer: Tokenizer

    @property
    def prompts(self) -> Ids:
        """Token ids of the sentences the class table is made of, one for each class."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch([prompt(name) for name in self.classes])]


def load_starter(folder: Path) -> Reloaded:
    """Read a folder that `export.write_folder` wrote, of one member or several.

    Raises:
        ModelError: the folder is damaged, or of a model of another kind (ModelNotFound: it holds no model.json).
    """
    found = read_model_folder(folder)
    classes = _read_classes(folder / CLASSES)
    image, text = (_read_weights(folder / file) for file in (found.image_file, found.text_file))
    rows = len(image.get("classes.bias", ()))
    if rows and rows != len(classes):
        raise ModelError(
            _("{folder} names {count} classes, not {rows}; bring back the original file").format(
                folder=folder / CLASSES, count=len(classes), rows=rows
            )
        )
    try:
        model = _balanced(_joined(image, text), image, text)
        pretrained = _pretrained(image, "" if isinstance(plain(model), Starter) else "members.0.")
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError, StopIteration) as error:
        raise _foreign(folder, f"{error!s:.120}") from None
    return Reloaded(model, pretrained, classes, _tokenizer(found))


def _joined(image: Stored, text: Stored) -> Starter | Ensemble:
    """The model of all members, or the only one."""
    prefixes = _members(image)
    lower = _lower(text)
    made = [_member(image, text, prefix, lower) for prefix in prefixes]
    if prefixes == [""]:
        return made[0]
    mix = image["mix"]
    if mix.shape != (DIM * len(made), DIM):
        raise ValueError(f"mix of shape {mix.shape}")
    return Ensemble(made, torch.from_numpy(mix)).eval()


def _balanced(model: Starter | Ensemble, image: Stored, text: Stored) -> Towers:
    """The model with its correction, if the files hold one."""
    if "hubs.bank" not in image and "hubs.bank" not in text:
        return model
    return Balanced(model, _hubs(image), _hubs(text)).eval()


def _hubs(stored: Stored) -> Hubs:
    axes, bank, shares = (stored[f"hubs.{what}"] for what in ("axes", "bank", "log_shares"))
    if axes.shape != (DIM, DIM - SIDES) or bank.shape != (DIM, len(shares)):
        raise ValueError(f"a correction of shapes {axes.shape} and {bank.shape}")
    if not np.isclose(stored["hubs.most"], LIMIT):
        raise ValueError("a correction with another limit")
    onto, known, parts = (torch.from_numpy(np.array(value, order="C")) for value in (axes, bank.T, shares))
    return Hubs(onto, known, parts, float(stored["hubs.share"]), float(stored["hubs.level"]))


def _members(image: Stored) -> list[str]:
    """The prefixes of the members' names, in their order; only the empty one when there are none."""
    numbers = {int(name.split(".")[1]) for name in image if name.startswith("members.")}
    if numbers != set(range(len(numbers))) or len(numbers) > MOST_MEMBERS:
        raise ValueError(f"members {sorted(numbers)}")
    return [f"members.{i}." for i in range(len(numbers))] or [""]


def _member(image: Stored, text: Stored, prefix: str, lower: TextTower) -> Starter:
    """One member; what is never trained of its text tower is that of `lower` itself."""
    weights = _pretrained(image, prefix)
    tower = TextTower(_layers(text), len(lower.words.weight), len(lower.positions.weight))
    tower.words, tower.positions, tower.norm = lower.words, lower.positions, lower.norm
    for i in range(FROZEN):
        tower.layers[i] = lower.layers[i]
    for i in range(FROZEN, len(tower.layers)):
        names = [f"{prefix}{part}layers.{i}." for part in ("tower.", "")]
        _fill(tower.layers[i], text, next(name for name in names if any(n.startswith(name) for n in text)))
    member = Starter(Tail(weights), tower, weights, float(image[f"{prefix}blend"]))
    _fill(member.image_head, image, f"{prefix}image_head.")
    _fill(member.text_head, text, f"{prefix}text_head.")
    return member.eval()


def _lower(text: Stored) -> TextTower:
    """A tower with all that the members share; its upper layers are not used."""
    tower = TextTower(FROZEN, len(text["words.weight"]), len(text["positions.weight"]))
    for name, part in tower.named_children():
        if name != "layers":
            _fill(part, text, f"{name}.")
    for i, layer in enumerate(tower.layers):
        _fill(layer, text, f"layers.{i}.")
    return tower


def _layers(text: Stored) -> int:
    """The number of transformer layers, frozen ones included."""
    count = 1 + max(int(name.split("layers.")[1].split(".")[0]) for name in text if "layers." in name)
    if count > MOST_LAYERS:
        raise ValueError(f"{count} layers")
    return count


def _pretrained(image: Stored, prefix: str) -> Weights:
    """Folded weights of the whole image tower and its class layer, as `image_tower.fold` gives them.

    What a member does not have under its own prefix it shares with the others; up to the cut all must be shared.
    """
    names = ["stem", "top", *(f"{i}.{part}" for i in range(len(BLOCKS)) for part in _parts(i))]
    found: Weights = {}
    for name in names:
        trunk = name == "stem" or (name != "top" and int(name.split(".")[0]) <= CUT)
        for kind in ("weight", "bias"):
            own = f"{prefix}{name}.{kind}"
            found[f"{name}.{kind}"] = image[own if own in image and not trunk else f"{name}.{kind}"]
    found["classes.weight"] = np.ascontiguousarray(image["classes.weight"].T)
    found["classes.bias"] = image["classes.bias"]
    return found


def _parts(block: int) -> tuple[str, ...]:
    return ("depthwise", "project") if BLOCKS[block].expand == 1 else ("expand", "depthwise", "project")


def _fill(part: torch.nn.Module, stored: Stored, prefix: str) -> None:
    """Load what is stored under `prefix`; matrices of linear maps are stored as (in, out)."""
    state = {}
    for name, module in part.named_modules():
        for kind, _parameter in module.named_parameters(recurse=False):
            key = f"{name}.{kind}".lstrip(".")
            value = stored[f"{prefix}{key}"]
            turned = value.T if isinstance(module, torch.nn.Linear) and kind == "weight" else value
            state[key] = torch.from_numpy(np.array(turned, np.float32, order="C"))
    part.load_state_dict(state)


def _read_weights(path: Path) -> dict[str, FloatArray]:
    """The weights of one ONNX file by name as float32, in whichever of the forms of :class:`graph.Graph`."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(
                _("{path} is larger than any tower this reads; name a folder the starter was written to").format(
                    path=path
                )
            )
        made = onnx.load(path, load_external_data=False)
        arrays = {tensor.name: np.array(numpy_helper.to_array(tensor)) for tensor in made.graph.initializer}
    except ModelError:
        raise
    except Exception as error:  # protobuf's and onnx's errors share no base
        raise ModelError(
            _("{path} cannot be read ({reason:.120}); bring back the original file").format(
                path=path, reason=_one_line(error)
            )
        ) from None
    found = {}
    for name, value in arrays.items():
        if name.endswith(".i8"):
            stem = name.removesuffix(".i8")
            found[stem] = widened(value, arrays.get(f"{stem}.scale"), path)
        elif name.endswith(".f16"):
            found[name.removesuffix(".f16")] = value.astype(np.float32)
        elif value.dtype == np.float32:
            found.setdefault(name, value)
    return found


def widened(codes: Array, scale: Array | None, path: Path) -> FloatArray:
    """Codes times scale, moved by at most a last digit so that quantising gives back this very scale."""
    axes = [] if scale is None else [i for i, n in enumerate(scale.shape) if n > 1]
    if scale is None or scale.ndim != codes.ndim or len(axes) > 1:
        raise ModelError(_("{path} lacks a scale of its weights; bring back the original file").format(path=path))
    value: FloatArray = codes.astype(np.float32) * scale.astype(np.float32)
    for _time in range(4):
        again, factor = quantise(value, axes[0] if axes else 0)
        value = again.astype(np.float32) * factor
    return value


def _read_classes(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            names = file.read(MOST_BYTES).decode("utf-8").splitlines()
    except (OSError, ValueError):
        raise _foreign(path.parent, _("{name} is missing or not text").format(name=CLASSES)) from None
    return names


def _tokenizer(found: ModelFolder) -> Tokenizer:
    path = found.path / found.tokenizer_file
    try:
        return load_tokenizer(path)
    except Exception as error:  # the library raises plain Exception
        raise ModelError(
            _("{path} is not a tokenizer ({reason:.120}); bring back the original file").format(
                path=path, reason=_one_line(error)
            )
        ) from None


def _foreign(folder: Path, what: str) -> ModelError:
    why = " ".join(what.split())
    return ModelError(
        _("{folder} holds no model of the starter's kind ({reason}); name the starter or one made from it").format(
            folder=folder, reason=why
        )
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
