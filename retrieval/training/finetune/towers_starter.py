"""The built-in model (or one of its kind) as a learner.

What a run does not change is computed once: for heads alone the pooled features of both towers, else the maps that the
tail of the image tower begins with.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.config import Preprocessing
from retrieval.errors import OptionError
from retrieval.messages import N_, _
from retrieval.training.export import Card, image_model, text_model, write_folder
from retrieval.training.finetune.augment import Augment, sided
from retrieval.training.finetune.features import Array, Kept, Piece, Views, batches, kept
from retrieval.training.finetune.gradcache import Run
from retrieval.training.finetune.learner import Learner, Loaded, Report
from retrieval.training.finetune.losses import infonce
from retrieval.training.finetune.order import Draw
from retrieval.training.finetune.pairs import Pairs, Sets
from retrieval.training.finetune.settings import Tuning
from retrieval.training.finetune.unlocking import Tower, unlock
from retrieval.training.hubs import Balanced, Banks, Hubs, Towers, plain, sample
from retrieval.training.image_tower import FEATURES, SHALLOW_DIM, SIDE, trunk_model
from retrieval.training.loop import REFRESH
from retrieval.training.losses import keeping
from retrieval.training.model import DIM, Head, Ids, Starter, in_chunks, pad
from retrieval.training.reload import Reloaded
from retrieval.training.text_tower import WIDTH
from retrieval.types import FloatMatrix

HOW = Preprocessing(SIDE, SIDE)
_ROWS = 64
_FITTED = 256
_BANK = 4096
"""Training pictures, and captions, that hubs are told by."""
_DEEP = ("all", "last", "lora")


class StarterLearner(Learner):
    """A starter of one member or several; ``table`` is the class table, renewed every few steps."""

    table: Tensor

    def __init__(self, loaded: Reloaded, cache: Path, tuning: Tuning) -> None:
        """Unlock what is to be learnt; features are kept in ``cache``.

        Raises:
            OptionError: a knob is of no use for this model.
        """
        super().__init__(tuning)
        self.model, self.loaded, self.cache = plain(loaded.model), loaded, cache
        self.members = [one for one in self.model.modules() if isinstance(one, Starter)]
        self.deep_image, self.deep_text = (mode.startswith(_DEEP) for mode in (tuning.image_tower, tuning.text_tower))
        if tuning.from_scratch != "none":
            self._new_heads()
        self.model.requires_grad_(False)
        rates = (tuning.head_rate, tuning.image_rate), (tuning.head_rate, tuning.text_rate)
        self.groups = unlock(self._image_parts(), tuning.image_tower, tuning.rank, rates[0])
        self.groups += unlock(self._text_parts(), tuning.text_tower, tuning.rank, rates[1])
        self.start_loss(torch.tensor(math.log(1 / 0.07)), None)
        self._first = self._fingerprint() if tuning.from_scratch == "none" else ""
        self.register_buffer("table", torch.zeros(len(loaded.classes), DIM * len(self.members)), persistent=False)
        self.to(self.device)

    def survey(self, folder: Path, sets: Sets, report: Report) -> Mapping[str, str]:
        """Compute the features of all pictures, whole; those that cannot be read are named with their reasons."""
        return self._features(folder, (*sets.train.names, *sets.dev.names), self._views(0), report).failed

    def begin(self, folder: Path, surveyed: Sets, sets: Sets, report: Report) -> None:
        """Compute what other views of the pictures give, and what the captions give below the heads."""
        pairs, names = sets.train, (*surveyed.train.names, *surveyed.dev.names)
        self._train = pairs
        self._whole = self._features(folder, names, self._views(0), report).arrays
        self._row = {name: row for row, name in enumerate(names)}
        self._places = [self._row[name] for name in pairs.names]
        self._prompts = self._states(self.loaded.prompts)
        own = [[pairs.captions[i] for i in places] for places in pairs.of_each()]
        both = frozenset(name for name, said in zip(pairs.names, own, strict=True) if sided(said))
        self._varied = [
            self._features(folder, pairs.names, self._views(number, both), report).arrays
            for number in range(1, self.tuning.views)
        ]
        if self.deep_image:
            self._before = self._logits(self._places)
        if self.deep_text:
            self._ids = self._encoded(pairs.captions)
        else:
            self._captions = self._caption_states(pairs.captions, report)
        if self.tuning.from_scratch == "none" and self.tuning.loss == "infonce":
            self._fit_scale(pairs)

    def load(self, draws: Sequence[Draw]) -> Loaded:
        """Gather features of the drawn pictures, each in one of its views, and of the captions."""
        rows: list[tuple[Array, ...]] = []
        for draw in draws:
            number = int(np.random.default_rng(draw.view).integers(self.tuning.views))
            if number:
                rows.append(tuple(array[draw.picture] for array in self._varied[number - 1]))
            else:
                rows.append(tuple(array[self._places[draw.picture]] for array in self._whole))
        pictures = [torch.from_numpy(np.stack(column)).float() for column in zip(*rows, strict=True)]
        if self.deep_image:
            pictures.append(self._before[[draw.picture for draw in draws]])
        places = [place for draw in draws for place in draw.captions]
        if self.deep_text:
            return Loaded(tuple(pictures), [self._ids[place] for place in places])
        return Loaded(tuple(pictures), torch.from_numpy(np.array(self._captions[places])))

    def pictures(self, loaded: Loaded, rows: slice) -> Run:
        """Return vectors of pictures; a tail that learns adds how far its class guesses have moved."""
        given = [part[rows].to(self.device) for part in loaded.pictures]
        if not self.deep_image:
            return Run(self._from_features(given[0], given[1], self.table))
        seen = self.model.image(given[0], given[1], self.table)
        extra = keeping(seen.logits, given[2]) * (self.tuning.keep * len(given[0]) / self.tuning.batch)
        return Run(seen.vectors, extra if self.tuning.keep else None)

    def texts(self, loaded: Loaded, rows: slice) -> Run:
        """Return vectors of captions."""
        given = loaded.texts[rows]
        return Run(self._read(given) if self.deep_text else self._from_states(given))

    def refresh(self, step: int) -> None:
        """Renew the class table every few steps; no gradient passes it."""
        if step % REFRESH == 0:
            self.table.copy_(self._table())

    def kept(self) -> dict[str, Tensor]:
        """Return the class table."""
        return {"table": self.table}

    @torch.no_grad()
    def vectors(self, folder: Path, pairs: Pairs) -> tuple[FloatMatrix, FloatMatrix]:
        """Return vectors of whole pictures and captions; class table and correction are of the weights as they are."""
        images, texts = self._plain_vectors(pairs)
        if isinstance(self.loaded.model, Balanced):
            of_pictures, of_texts = self._correction(self.loaded.model)
            images, texts = of_pictures(images, pictures=True), of_texts(texts, pictures=False)
        return images.numpy(), texts.numpy()

    def write(self, folder: Path, description: str) -> None:
        """Write an ONNX folder by the exporter of the built-in model."""
        from retrieval.training.finetune.adapters import merge

        self.eval().cpu()
        model: Towers = self.model
        if isinstance(self.loaded.model, Balanced):
            model = Balanced(self.model, *self._correction(self.loaded.model))
        merge(self)
        with torch.no_grad():
            table = self.model.table(self.loaded.prompts)
        image = image_model(model, self.loaded.pretrained, table)
        card = Card("starter-tuned", "1", description, f"{description} Weak where the built-in model is.")
        tokenizer = self.loaded.tokenizer.to_str()
        write_folder(folder, image, text_model(model), _plain(tokenizer), self.loaded.classes, card)

    def _fingerprint(self) -> str:
        """A digest of what learns in the towers."""
        digest = hashlib.sha256()
        for value in self.tower_parameters():
            digest.update(value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def _plain_vectors(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Vectors of whole pictures and captions without the correction, on the processor."""
        self.eval()
        table = self._table()
        rows = [self._row[name] for name in pairs.names]
        images = [self._seen(self._whole_rows(rows[at : at + _ROWS]), table) for at in range(0, len(rows), _ROWS)]
        if self.deep_text:
            texts = self._read(self._encoded(pairs.captions))
        else:
            texts = self._from_states(torch.from_numpy(np.array(self._caption_states(pairs.captions, _silent))))
        return torch.cat(images).cpu(), texts.cpu()

    @torch.no_grad()
    def _correction(self, before: Balanced) -> tuple[Hubs, Hubs]:
        """What takes hubs' advantage off vectors of the weights as they are: ``before``'s as long as none has moved."""
        if self._fingerprint() == self._first:
            return before.of_pictures, before.of_texts
        pairs = self._train
        places = sample(len(pairs.names), _BANK, self.tuning.seed)
        own = pairs.of_each()
        captions = tuple(pairs.captions[own[i][0]] for i in places)
        few = Pairs(tuple(pairs.names[i] for i in places), captions, np.arange(len(places)))
        names = self._joined(self._table().chunk(len(self.members), dim=1)).cpu()
        return Banks(*self._plain_vectors(few), names).correction()

    @torch.no_grad()
    def _fit_scale(self, pairs: Pairs) -> None:
        """Begin with the scale under which the loss is least: a model folder does not hold the one it ended with."""
        first = [places[0] for places in pairs.of_each()[:_FITTED]]
        few = Pairs(pairs.names[: len(first)], tuple(pairs.captions[i] for i in first), np.arange(len(first)))
        pictures, texts = self._plain_vectors(few)
        right = torch.eye(len(first), dtype=torch.bool)
        scales = torch.logspace(1, 2, 21)
        found = [float(infonce(pictures @ texts.T, scale, right)) for scale in scales]
        self.log_scale.fill_(float(scales[int(np.argmin(found))].log()))

    def _new_heads(self) -> None:
        if self.tuning.from_scratch == "all":
            raise OptionError(_("the built-in model is made from pretrained towers; use --from-scratch heads"))
        torch.manual_seed(self.tuning.seed)
        for member in self.members:
            member.image_head, member.text_head = Head((FEATURES, SHALLOW_DIM)), Head((WIDTH,))

    def _image_parts(self) -> Tower:
        rows = [[*member.tail.blocks, member.tail.top] for member in self.members]
        heads = [p for member in self.members for p in member.image_head.parameters()]
        whole = nn.ModuleList([one for m in self.members for one in (m.tail, m.image_head)])
        return Tower("image", whole, heads, [nn.ModuleList(blocks) for blocks in zip(*rows, strict=True)])

    def _text_parts(self) -> Tower:
        rows = [list(member.tower.trained()) for member in self.members]
        heads = [p for member in self.members for p in member.text_head.parameters()]
        whole = nn.ModuleList([one for m in self.members for one in (*m.tower.trained(), m.text_head)])
        return Tower("text", whole, heads, [nn.ModuleList(layers) for layers in zip(*rows, strict=True)])

    def _views(self, number: int, both: frozenset[str] = frozenset()) -> Views:
        augment = Augment(self.tuning.crop, self.tuning.flip, self.tuning.jitter)
        return Views(HOW, augment, number, self.tuning.seed, both)

    def _features(self, folder: Path, names: Sequence[str], views: Views, report: Report) -> Kept:
        """Return what never changes of the image side, of every picture: maps or pooled features, and shallow ones."""
        trunk = trunk_model(self.loaded.pretrained)
        key = "\n".join([*names, views.key(), str(self.deep_image), self._weights_key(trunk), str(folder)])

        def compute() -> Iterator[Piece]:
            options = ort.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            session = ort.InferenceSession(trunk, options, providers=["CPUExecutionProvider"])
            for batch in batches(folder, names, views, 16):
                maps, shallow = session.run(["maps", "shallow"], {"pixels": batch.pixels})
                flat = maps.reshape(*maps.shape[:2], -1)
                first = flat if self.deep_image else self._pooled(torch.from_numpy(flat))
                report(N_("features of pictures"), batch.start + len(maps), len(names))
                failed = {names[place]: reason for place, reason in batch.failed.items()}
                yield (first.astype(np.float16), shallow.astype(np.float16)), failed

        return kept(self.cache, key, compute)

    @torch.no_grad()
    def _pooled(self, maps: Tensor) -> Array:
        """Pooled features (n, members, 1280) of maps (n, 208, cells)."""
        parts = [member.tail(maps.to(self.device)).mean(dim=2).T for member in self.members]
        pooled: Array = torch.stack(parts, dim=1).cpu().numpy()
        return pooled

    def _weights_key(self, trunk: bytes) -> str:
        digest = hashlib.sha256(trunk)
        if not self.deep_image:
            for member in self.members:
                for value in member.tail.state_dict().values():
                    digest.update(value.cpu().numpy().tobytes())
        return digest.hexdigest()

    def _seen(self, given: Sequence[Tensor], table: Tensor) -> Tensor:
        first, shallow = (part.to(self.device) for part in given)
        if self.deep_image:
            return self.model.image(first, shallow, table).vectors
        return self._from_features(first, shallow, table)

    def _from_features(self, features: Tensor, shallow: Tensor, table: Tensor) -> Tensor:
        """What ``image`` of the model does after the tail."""
        found = []
        for at, member in enumerate(self.members):
            own, part = features[:, at], table[:, at * DIM : (at + 1) * DIM]
            logits = functional.linear(own, member.get_buffer("class_weight"), member.get_buffer("class_bias"))
            guess = logits.softmax(dim=1) @ part
            found.append(functional.normalize(member.image_head(own, shallow) + member.blend * guess, dim=1))
        return self._joined(found)

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        if len(parts) == 1:
            return parts[0]
        return functional.normalize(torch.cat(list(parts), dim=1) @ self.model.get_buffer("mix"), dim=1)

    def _whole_rows(self, rows: Sequence[int]) -> list[Tensor]:
        return [torch.from_numpy(np.asarray(array[list(rows)], np.float32)) for array in self._whole]

    @torch.no_grad()
    def _logits(self, places: Sequence[int]) -> Tensor:
        """Class logits (n, classes) of whole pictures, as the tail gives them before it learns."""
        self.eval()
        parts = []
        for at in range(0, len(places), _ROWS):
            maps, shallow = (part.to(self.device) for part in self._whole_rows(places[at : at + _ROWS]))
            parts.append(self.model.image(maps, shallow, self.table).logits.cpu())
        return torch.cat(parts)

    def _encoded(self, texts: Sequence[str]) -> Ids:
        return [encoding.ids for encoding in self.loaded.tokenizer.encode_batch(list(texts))]

    def _caption_states(self, texts: Sequence[str], report: Report) -> FloatMatrix:
        """States (m, members, 384) of captions below the heads."""
        parts = [value.cpu().numpy().tobytes() for m in self.members for value in m.tower.state_dict().values()]
        key = "\n".join([*texts, hashlib.sha256(b"".join(parts)).hexdigest()])

        def compute() -> Iterator[Piece]:
            for at in range(0, len(texts), _ROWS * 8):
                part = texts[at : at + _ROWS * 8]
                report(N_("features of captions"), at + len(part), len(texts))
                yield (self._states(self._encoded(part)).numpy(),), {}

        found: FloatMatrix = kept(self.cache, key, compute).arrays[0]  # type: ignore[assignment]
        return found

    @torch.no_grad()
    def _states(self, ids: Ids) -> Tensor:
        """Mean-pooled states (n, members, 384) of the text towers, without the heads."""
        self.eval()
        return in_chunks(ids, _ROWS, lambda some: torch.stack(self._pooled_texts(some), dim=1).cpu())

    def _pooled_texts(self, ids: Ids) -> list[Tensor]:
        padded, mask = (part.to(self.device) for part in pad(ids))
        lower = self.members[0].tower.lower(padded, mask)
        weight = mask[:, :, None].float()
        states = [member.tower.upper(lower, mask) for member in self.members]
        return [(one * weight).sum(dim=1) / weight.sum(dim=1) for one in states]

    @torch.no_grad()
    def _table(self) -> Tensor:
        """The class table (classes, members * dim) of the weights as they are."""
        learning = self.training
        self.eval()
        if self.deep_text:
            table = in_chunks(self.loaded.prompts, _ROWS, lambda some: torch.cat(self._member_texts(some), dim=1))
        else:
            parts = [m.text_head(self._prompts[:, i].to(self.device)) for i, m in enumerate(self.members)]
            table = torch.cat(parts, dim=1)
        self.train(learning)
        return table

    def _member_texts(self, ids: Ids) -> list[Tensor]:
        padded, mask = (part.to(self.device) for part in pad(ids))
        with torch.no_grad():
            lower = self.members[0].tower.lower(padded, mask)
        return [member.upper(lower, mask) for member in self.members]

    def _read(self, ids: Ids) -> Tensor:
        """Vectors of captions from their ids."""
        return in_chunks(ids, _ROWS, lambda some: self._joined(self._member_texts(some)))

    def _from_states(self, states: Tensor) -> Tensor:
        """Vectors of captions from their states below the heads."""
        given = states.to(self.device)
        return self._joined([member.text_head(given[:, i]) for i, member in enumerate(self.members)])


def _plain(tokenizer: str) -> str:
    """The tokenizer file without padding and truncation, which `model.json` states instead."""
    return json.dumps({**json.loads(tokenizer), "padding": None, "truncation": None}, ensure_ascii=False) + "\n"


def _silent(what: str, done: int, total: int) -> None:
    """Say nothing."""
