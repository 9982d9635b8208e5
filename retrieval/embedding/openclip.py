"""Runs any OpenCLIP model with PyTorch, on the processor or on CUDA."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Device
from retrieval.embedding.base import ImageInput, cut_note, normalise, usable
from retrieval.embedding.names import ClipName
from retrieval.embedding.published import spec_of
from retrieval.embedding.replicas import Replicas, devices_for, precision_for, rows_of
from retrieval.embedding.towers import load_libraries, load_tokenizer, load_tower, resolve
from retrieval.errors import ModelError
from retrieval.messages import _
from retrieval.types import FloatMatrix

_BATCH_CPU, _BATCH_CUDA, _BATCH_TEXT = 16, 128, 64
_CHOICES_CPU = (8, 16, 32)
_WORDS_PER_TOKEN = 16


class OpenClipEmbedder(ImageInput):
    """Both towers of an OpenCLIP model; each is loaded when it is first needed. Safe to call from many threads."""

    def __init__(
        self, name: ClipName, device: Device = "auto", threads: int = 0, devices: Sequence[str] | None = None
    ) -> None:
        """Find the weights of ``name`` and say what they are; nothing is downloaded and no tower loaded yet.

        The image tower is loaded on each of ``devices`` (PyTorch's names of them; all CUDA devices, or the processor),
        the text tower on the first.

        Raises:
            ModelNotFound: the extra ``clip`` is missing, the name is unknown, or its weights are not on this machine.
            ModelError: the configuration cannot be read, or CUDA was asked for and is not there.
        """
        torch, open_clip = load_libraries(name.text)
        self._found = resolve(name, open_clip)
        self._devices = tuple(devices or devices_for(device))
        self._precision = precision_for(self._devices)
        if threads:
            torch.set_num_threads(threads)
        self.spec = spec_of(name, self._found)
        self.dim = self.spec.dim
        on_cuda = self._devices[0].startswith("cuda")
        self._replicas: Replicas | None = None
        # On CUDA the pictures are divided by the memory there is, so a batch is what keeps all devices busy.
        self.batch_size = _BATCH_CUDA * len(self._devices) if on_cuda else _BATCH_CPU
        self.batch_choices = () if on_cuda else _CHOICES_CPU
        self._lock = threading.Lock()
        self._text: Any = None
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

        tokens = self._words()(texts).to(self._devices[0])
        model = self._text_tower()
        with torch.inference_mode():
            return rows_of(model.encode_text(tokens))

    def _run_images(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        return self._image_towers().run(batch)

    def _image_towers(self) -> Replicas:
        with self._lock:
            if self._replicas is None:
                towers = [
                    load_tower(self._found, "image", self._precision, device, self.spec) for device in self._devices
                ]
                self._replicas = Replicas(self._devices, towers, self.spec, self._precision)
            return self._replicas

    def _text_tower(self) -> Any:  # noqa: ANN401 - torch comes late
        with self._lock:
            if self._text is None:
                self._text = load_tower(self._found, "text", self._precision, self._devices[0], self.spec)
            return self._text

    def _words(self) -> Callable[..., Any]:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = load_tokenizer(self._found, self.spec.name)
            return self._tokenizer
