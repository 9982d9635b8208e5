"""Runs a model folder (``model.json``, two ONNX towers, a tokenizer) with ONNX Runtime; no torch."""

import contextlib
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.config import Device
from retrieval.embedding.base import ImageInput, cut_note, normalise, processors, usable
from retrieval.embedding.folder import ModelFolder, missing_file, read_model_folder
from retrieval.errors import ModelError
from retrieval.messages import _
from retrieval.types import FloatMatrix

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

_BATCH_CPU, _BATCH_CUDA = 8, 64
_CHOICES_CPU, _CHOICES_CUDA = (4, 8, 16), (32, 64, 128)
_TEXT_ROWS, _TEXT_TOKENS = 64, 2048
_MAX_CHARACTERS_PER_TOKEN = 64


class OnnxEmbedder(ImageInput):
    """Both towers of a model folder; each is loaded when it is first needed and never before.

    A text query reads ``text.onnx`` and ``tokenizer.json`` only, indexing reads ``image.onnx`` only. Safe to call from
    many threads.
    """

    def __init__(
        self, folder: Path, name: str, device: Device = "auto", threads: int = 0, *, briefly: bool = False
    ) -> None:
        """Read ``model.json``; ``threads`` 0 means one for each processor, ``briefly`` leaves the text graph as it is,
        and begins to read it at once on a thread of its own.

        Optimising a graph takes longer than running it a few times as it stands; the vectors agree to 1e-6.

        Raises:
            ModelError: the folder is not usable, or CUDA was asked for and is not there.
        """
        self.folder: ModelFolder = read_model_folder(folder)
        self.spec = self.folder.spec(name)
        self.dim = self.folder.dim
        self._threads, self._briefly = threads or processors(), briefly
        self._device, self._batch_size = device, 0
        self._choices: tuple[int, ...] = ()
        if device == "cuda":
            self._providers  # noqa: B018 - that it is not there is said at once
        self._lock = threading.Lock()
        self._image: InferenceSession | None = None
        self._text: InferenceSession | None = None
        self._cutter: Tokenizer | None = None
        self._cutter_lock = threading.Lock()
        if briefly:
            # Most of it is done without Python's lock, while whoever asks opens the collection and its index.
            threading.Thread(target=self._look_ahead).start()

    @cached_property
    def _providers(self) -> list[str]:
        return _providers(self._device)  # asked of ONNX Runtime, whose import may not be needed

    @property
    def batch_size(self) -> int:
        """How many pictures are embedded together; another number may be set."""
        return self._batch_size or (_BATCH_CUDA if len(self._providers) > 1 else _BATCH_CPU)

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._batch_size = size

    @property
    def batch_choices(self) -> tuple[int, ...]:
        """Batch sizes that may be faster, by machine; others may be set."""
        return self._choices or (_CHOICES_CUDA if len(self._providers) > 1 else _CHOICES_CPU)

    @batch_choices.setter
    def batch_choices(self, sizes: tuple[int, ...]) -> None:
        self._choices = sizes

    def embed_texts(self, texts: Sequence[str]) -> FloatMatrix:
        """Embed texts to ``(n, dim)`` in their order; texts of like length share a batch.

        Raises:
            ModelError: the text tower cannot be loaded, or gives no usable vector.
        """
        out = np.empty((len(texts), self.dim), dtype=np.float32)
        encoded = [self._encode(text) for text in texts]
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
        start = 0
        while start < len(order):
            stop = self._batch_end([len(encoded[i].ids) for i in order], start)
            rows = order[start:stop]
            out[rows] = normalise(self._run_texts([encoded[i] for i in rows]))
            start = stop
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
        if not self._encode(text).overflowing and len(text) <= self._most_characters:
            return []
        return cut_note(text, lambda part: self._encode(part).ids)

    def release(self) -> None:
        """Let go of both towers with the memory they work in; the next batch loads its own again."""
        with self._lock:
            self._image = self._text = None

    @property
    def _most_characters(self) -> int:
        return _MAX_CHARACTERS_PER_TOKEN * self.folder.text.context_length

    def _encode(self, text: str) -> "Encoding":
        # A text of megabytes is cut before the tokenizer sees it, far beyond what the tower reads.
        text = text[: self._most_characters]
        return self._tokenizer().encode(text.lower() if self.folder.text.lowercase else text)

    def _batch_end(self, lengths: Sequence[int], start: int) -> int:
        """Return where the batch that begins at ``start`` of the ascending ``lengths`` ends."""
        stop = start + 1
        while stop < len(lengths) and stop - start < _TEXT_ROWS and (stop + 1 - start) * lengths[stop] <= _TEXT_TOKENS:
            stop += 1
        return stop

    def _run_texts(self, rows: Sequence["Encoding"]) -> FloatMatrix:
        how = self.folder.text
        width = how.context_length if how.padding == "max" else max(len(row.ids) for row in rows)
        ids = np.full((len(rows), width), how.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)] = row.ids
            mask[i, : len(row.ids)] = 1
        session = self._text_tower()
        wanted = {found.name for found in session.get_inputs()}
        given = {"input_ids": ids, "attention_mask": mask}
        return self._run(session, {name: value for name, value in given.items() if name in wanted})

    @property
    def cells(self) -> tuple[int, int] | None:
        """(rows, columns) of the cells ``embed_cells`` tells apart; None when the model tells none."""
        return self.folder.cells

    def embed_cells(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed ``(n, height, width, 3) uint8`` to ``(n, rows * columns, dim)``, cells by rows from the top left.

        Raises:
            ModelError: the model tells no cells apart, the batch is not of the tower's shape, or it cannot be run.
        """
        if self.cells is None:
            raise ModelError(
                _("model {name} does not tell what is where in a picture; use another one").format(name=self.spec.name)
            )
        self._check_pixels(batch)
        wanted = (self.cells[0] * self.cells[1], self.dim)
        out = np.empty((len(batch), *wanted), dtype=np.float32)
        for start in range(0, len(batch), self.batch_size):
            part = np.ascontiguousarray(batch[start : start + self.batch_size])
            count = np.array([len(part)], dtype=np.int64)
            found = self._fetch(self._image_tower(), "cells", {"pixels": part, "cells_of": count})
            if found.shape != (len(part), *wanted):
                raise ModelError(
                    _("model {name} gives cells of shape {shape}, not {wanted}").format(
                        name=self.spec.name, shape=found.shape[1:], wanted=wanted
                    )
                )
            out[start : start + len(part)] = found
        return out

    def _run_images(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        return self._run(self._image_tower(), {"pixels": batch})

    def _fetch(
        self, session: "InferenceSession", output: str, inputs: dict[str, NDArray[np.generic]]
    ) -> NDArray[np.float32]:
        try:
            found: NDArray[np.float32] = session.run([output], inputs)[0]
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            raise ModelError(
                _("model {name} cannot be run ({reason}); install it again").format(
                    name=self.spec.name, reason=_one_line(error)
                )
            ) from None
        return found

    def _run(self, session: "InferenceSession", inputs: dict[str, NDArray[np.generic]]) -> FloatMatrix:
        found = self._fetch(session, "vectors", inputs)
        if found.shape != (len(next(iter(inputs.values()))), self.dim):
            raise ModelError(
                _("model {name} gives vectors of shape {shape}, not of {dim} numbers").format(
                    name=self.spec.name, shape=found.shape, dim=self.dim
                )
            )
        rows: FloatMatrix = found
        return rows

    def _image_tower(self) -> "InferenceSession":
        with self._lock:
            if self._image is None:
                how = self.folder.preprocessing
                session = self._load(self.folder.image_file, self.folder.image_weights)
                self._check(session, "pixels", (how.height, how.width, 3))
                self._image = session
            return self._image

    def _text_tower(self) -> "InferenceSession":
        with self._lock:
            if self._text is None:
                session = self._load(self.folder.text_file, self.folder.text_weights, optimised=not self._briefly)
                self._check(session, "input_ids", ())
                self._text = session
            return self._text

    def _look_ahead(self) -> None:
        with contextlib.suppress(ModelError):  # it is said again when the tower is asked for
            self._text_tower()

    def _tokenizer(self) -> "Tokenizer":
        with self._cutter_lock:
            if self._cutter is None:
                self._cutter = self._read_tokenizer()
            return self._cutter

    def _read_tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        path = self.folder.path / self.folder.tokenizer_file
        if not path.is_file():
            raise missing_file(path)
        try:
            found = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ModelError(
                _("{path} is not a tokenizer ({reason}); install the model again").format(
                    path=path, reason=_one_line(error)
                )
            ) from None
        found.no_padding()
        found.enable_truncation(self.folder.text.context_length)
        return found

    def _check(self, session: "InferenceSession", name: str, shape: tuple[int, ...]) -> None:
        """Refuse a graph that is not what model.json says: inputs by name and size, vectors of ``dim``."""
        inputs = {found.name: found.shape for found in session.get_inputs()}
        outputs = {found.name: found.shape for found in session.get_outputs()}
        where = self.folder.path
        if name not in inputs or "vectors" not in outputs:
            raise ModelError(
                _("a tower in {where} lacks {name} or vectors (it has {found}); export it again").format(
                    where=where, name=name, found=[*inputs, *outputs]
                )
            )
        for stated, found in zip(shape, inputs[name][1:], strict=False):
            if isinstance(found, int) and found != stated:
                raise ModelError(
                    _("the image tower in {where} takes {inputs}, model.json says {wanted}").format(
                        where=where, inputs=inputs[name][1:], wanted=list(shape)
                    )
                )
        width = outputs["vectors"][-1]
        if isinstance(width, int) and width != self.dim:
            raise ModelError(
                _("a tower in {where} gives vectors of {width} numbers, model.json says {dim}").format(
                    where=where, width=width, dim=self.dim
                )
            )

    def _load(self, file: str, weights: str | None, optimised: bool = True) -> "InferenceSession":
        import onnxruntime

        path = self.folder.path / file
        for needed in filter(None, (file, weights)):
            if not (self.folder.path / needed).is_file():
                raise missing_file(self.folder.path / needed)
        options = onnxruntime.SessionOptions()
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Waiting threads must not spin: the processors are shared with the threads that decode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.add_session_config_entry("session.disable_prepacking", "1")
        # Batches differ in size, and plans kept for each size would only hold memory.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(path, options, providers=self._providers)
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            raise ModelError(
                _("{path} cannot be loaded ({reason:.120}); install the model again").format(
                    path=path, reason=_one_line(error)
                )
            ) from None


def _providers(device: Device) -> list[str]:
    """Return ONNX Runtime's providers for ``device``, the processor always last."""
    if device == "cpu":
        return ["CPUExecutionProvider"]
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "cuda":
        raise ModelError(_("this ONNX Runtime has no CUDA; run: pip install onnxruntime-gpu, or use --device cpu"))
    return ["CPUExecutionProvider"]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
