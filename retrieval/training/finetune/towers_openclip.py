"""Any OpenCLIP model as a learner; what comes out is a folder in OpenCLIP's own form."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.embedding.names import ClipName, parse_name
from retrieval.embedding.published import Published, overlay, preprocessing_of
from retrieval.embedding.surroundings import offline, quiet
from retrieval.embedding.towers import load_libraries, load_tokenizer, resolve
from retrieval.errors import DatasetError, MediaError, ModelError, ModelNotFound
from retrieval.media import open_picture
from retrieval.messages import N_, _
from retrieval.training.finetune.adapters import merge
from retrieval.training.finetune.augment import PLAIN, Augment, view
from retrieval.training.finetune.features import Views, batches
from retrieval.training.finetune.gradcache import Run
from retrieval.training.finetune.learner import Learner, Loaded, Report
from retrieval.training.finetune.order import Draw
from retrieval.training.finetune.pairs import Pairs, Sets
from retrieval.training.finetune.settings import Tuning
from retrieval.training.finetune.unlocking import Tower, unlock
from retrieval.types import FloatMatrix, Pixels

_ROWS = 32
_STEMS = (
    "conv1", "conv2", "conv3", "bn1", "bn2", "bn3", "class_embedding", "positional_embedding", "ln_pre", "patch_embed",
    "pos_embed", "cls_token", "reg_token", "norm_pre", "stem", "token_embedding", "embeddings", "cls_emb",
    "patchnorm_pre_ln",
)  # fmt: skip
_LAYERS = ("resblocks", "blocks", "stages", "layers", "layer")


class ClipModel(Learner):
    """An OpenCLIP model with both towers."""

    def __init__(self, name: str, tuning: Tuning) -> None:
        """Open the model and unlock what is to be learnt.

        Raises:
            ModelNotFound: the extra ``clip`` is missing, or the model is not on this machine.
            ModelError: its weights cannot be used.
        """
        super().__init__(tuning)
        self.name, self._found = _resolved(name, tuning.from_scratch == "all")
        self.how = preprocessing_of(self._found)
        torch.manual_seed(tuning.seed)
        self.model: Any = _opened(self.name, self._found, tuning.from_scratch == "all")
        self._tokenizer = load_tokenizer(self._found, self.name.text)
        self.model.requires_grad_(False)
        image, text = image_parts(self.model), text_parts(self.model)
        if tuning.from_scratch == "heads":
            _new_heads([*image.heads, *text.heads])
        self.groups = unlock(image, tuning.image_tower, tuning.rank, (tuning.head_rate, tuning.image_rate))
        self.groups += unlock(text, tuning.text_tower, tuning.rank, (tuning.head_rate, tuning.text_rate))
        bias: Tensor | None = getattr(self.model, "logit_bias", None)
        self.start_loss(self.model.get_parameter("logit_scale"), bias)
        self._pool = ThreadPoolExecutor(tuning.jobs or 2)
        self._augment = Augment(tuning.crop, tuning.flip, tuning.jitter)
        self.to(self.device)

    def train(self, mode: bool = True) -> "ClipModel":
        """Switch dropout on or off; running statistics of batch norms stay as they were trained."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def survey(self, folder: Path, sets: Sets, report: Report) -> Mapping[str, str]:
        """Decode every picture once; those that cannot be read are named with their reasons."""
        names = (*sets.train.names, *sets.dev.names)

        def problem(name: str) -> str:
            try:
                self._pixels(folder / name)
            except MediaError as error:
                return str(error)
            return ""

        failed: dict[str, str] = {}
        for at in range(0, len(names), 256):
            part = names[at : at + 256]
            found = zip(part, self._pool.map(problem, part), strict=True)
            failed |= {name: said for name, said in found if said}
            report(N_("pictures looked at"), at + len(part), len(names))
        return failed

    def begin(self, folder: Path, surveyed: Sets, sets: Sets, report: Report) -> None:
        """Note where the pictures are."""
        self._folder, self._pairs = folder, sets.train

    def load(self, draws: Sequence[Draw]) -> Loaded:
        """Read and vary the drawn pictures, and turn the captions to tokens."""
        pixels = list(self._pool.map(self._view, draws))
        captions = [self._pairs.captions[place] for draw in draws for place in draw.captions]
        return Loaded((torch.from_numpy(np.stack(pixels)),), self._tokenizer(captions))

    def pictures(self, loaded: Loaded, rows: slice) -> Run:
        """Return vectors of pictures."""
        return Run(self._images(loaded.pictures[0][rows]))

    def texts(self, loaded: Loaded, rows: slice) -> Run:
        """Return vectors of captions."""
        return Run(self._words(loaded.texts[rows]))

    @torch.no_grad()
    def vectors(self, folder: Path, pairs: Pairs) -> tuple[FloatMatrix, FloatMatrix]:
        """Return vectors of whole pictures and of captions."""
        self.eval()
        images = [
            self._images(torch.from_numpy(batch.pixels)).cpu()
            for batch in batches(folder, pairs.names, Views(self.how, PLAIN, 0, 0), _ROWS)
        ]
        texts = [
            self._words(self._tokenizer(list(pairs.captions[at : at + _ROWS]))).cpu()
            for at in range(0, len(pairs.captions), _ROWS)
        ]
        return torch.cat(images).numpy(), torch.cat(texts).numpy()

    def write(self, folder: Path, description: str) -> None:
        """Write ``open_clip_config.json`` and weights, as ``--model FOLDER`` and OpenCLIP itself read them."""
        from safetensors.torch import save_file

        merge(self)
        with torch.no_grad():
            self.model.logit_scale.copy_(self.log_scale.view_as(self.model.logit_scale))
            if getattr(self.model, "logit_bias", None) is not None and self.tuning.loss == "siglip":
                self.model.logit_bias.copy_(self.bias.view_as(self.model.logit_bias))
        folder.mkdir(parents=True)
        config = dict(self._found.config)
        if self._found.quick_gelu:
            config["quick_gelu"] = True
        how = {"model_cfg": config, "preprocess_cfg": self._found.preprocess}
        (folder / "open_clip_config.json").write_text(json.dumps(how, indent=2) + "\n", encoding="utf-8")
        state = {key: value.detach().cpu().contiguous() for key, value in self.model.state_dict().items()}
        save_file(_apart(state), folder / "open_clip_model.safetensors")

    def _pixels(self, path: Path) -> Pixels:
        return open_picture(path, max(self.how.height, self.how.width))

    def _view(self, draw: Draw) -> Pixels:
        path = self._folder / self._pairs.names[draw.picture]
        try:
            pixels = self._pixels(path)
        except MediaError as error:
            raise DatasetError(
                _("{path} can no longer be read ({reason}); bring it back, then --resume").format(
                    path=path, reason=error
                )
            ) from None
        return view(pixels, self.how, self._augment, np.random.default_rng(draw.view), draw.mirror)

    def _images(self, batch: Tensor) -> Tensor:
        how = self.how
        mean, std = (torch.tensor(v, device=self.device).view(1, 3, 1, 1) for v in (how.mean, how.std))
        x = (batch.to(self.device).permute(0, 3, 1, 2).float() / 255.0 - mean) / std
        with self.arithmetic():
            found: Tensor = self.model.encode_image(x, normalize=True)
        return found.float()

    def _words(self, tokens: Tensor) -> Tensor:
        with self.arithmetic():
            found: Tensor = self.model.encode_text(tokens.to(self.device), normalize=True)
        return found.float()


def image_parts(model: nn.Module) -> Tower:
    """Tell the parts of the image tower apart."""
    return _parts("image", model.get_submodule("visual"), {})


def text_parts(model: nn.Module) -> Tower:
    """Tell the parts of the text tower apart, whether it is a module of its own or lies open in the model."""
    if isinstance(getattr(model, "text", None), nn.Module):
        return _parts("text", model.get_submodule("text"), {})
    names = ("token_embedding", "transformer", "ln_final", "text_projection")
    modules = {n: getattr(model, n) for n in names if isinstance(getattr(model, n, None), nn.Module)}
    loose = {n: p for n, p in model.named_parameters(recurse=False) if n in ("positional_embedding", "text_projection")}
    whole = nn.ModuleDict(modules)
    return _parts("text", whole, loose)


def _parts(name: str, whole: nn.Module, loose: Mapping[str, nn.Parameter]) -> Tower:
    """Find the blocks of a tower, and take as heads what is neither in them nor in the stem."""
    blocks = _blocks(whole)
    inside = {id(p) for block in blocks for p in block.parameters()}
    holder = nn.Module()
    holder.add_module("whole", whole)
    for key, parameter in loose.items():
        holder.register_parameter(key, parameter)
    heads = [
        parameter
        for key, parameter in holder.named_parameters()
        if id(parameter) not in inside and not any(part in _STEMS for part in key.split("."))
    ]
    return Tower(name, holder, heads, blocks)


def _blocks(whole: nn.Module) -> list[nn.Module]:
    """Return the blocks of a tower in their order: the longest list under a usual name, or a ResNet's stages."""
    stages = [getattr(whole, f"layer{i}", None) for i in (1, 2, 3, 4)]
    if all(isinstance(stage, nn.Module) for stage in stages):
        return [stage for stage in stages if isinstance(stage, nn.Module)]
    lists = [
        list(module.children())
        for key, module in whole.named_modules()
        if key.rsplit(".", 1)[-1] in _LAYERS and isinstance(module, nn.ModuleList | nn.Sequential)
    ]
    return max(lists, key=len, default=[])


def _resolved(model: str, scratch: bool) -> tuple[ClipName, Published]:
    """Find what is to be trained; from scratch, an architecture without weights will do."""
    _, open_clip = load_libraries(model)
    folder = Path(model).expanduser()
    if scratch and not folder.is_dir() and open_clip.get_model_config(model) is not None:
        from open_clip.transform import PreprocessCfg

        config = open_clip.get_model_config(model)
        how = overlay(vars(PreprocessCfg()), {})
        return ClipName(model, arch=model), Published(model, config, how, Path(), bool(config.get("quick_gelu")), False)
    name = parse_name(str(folder.resolve()) if folder.is_dir() else model)
    return name, resolve(name, open_clip)


def _opened(name: ClipName, found: Published, scratch: bool) -> nn.Module:
    import open_clip

    options: dict[str, Any] = {"precision": "fp32", "device": "cpu", "force_quick_gelu": found.quick_gelu}
    if not scratch and not found.builder.startswith(("local-dir:", "hf-hub:")):
        options["pretrained"] = str(found.weights)
    try:
        with quiet(), offline(True):
            made: nn.Module = open_clip.create_model(
                found.builder, load_weights=not scratch, pretrained_text=False, **options
            )
    except ImportError as error:
        raise ModelNotFound(
            _("{name} needs {library}; run: pip install {library}").format(name=name.text, library=error.name)
        ) from None
    except Exception as error:  # a wrong checkpoint fails in many ways, none with a type of its own
        said = " ".join(str(error).split())
        raise ModelError(
            _("{weights} is not usable as {name} ({reason:.160})").format(
                weights=found.weights, name=name.text, reason=said
            )
        ) from None
    return made


def _new_heads(heads: Sequence[nn.Parameter]) -> None:
    """Fill the projections with small random numbers; norms keep theirs."""
    with torch.no_grad():
        for parameter in heads:
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=max(parameter.shape) ** -0.5)


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that share no memory, as safetensors wants them."""
    seen: set[int] = set()
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        out[key] = value.clone() if value.data_ptr() in seen else value
        seen.add(value.data_ptr())
    return out
