"""Reads each text by the tower that knows its language, and says so where none does."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding.base import Embedder, release
from retrieval.embedding.languages import language_of, languages
from retrieval.embedding.onnx import OnnxEmbedder
from retrieval.errors import ModelMismatch, ModelNotFound
from retrieval.messages import _, retold
from retrieval.types import FloatMatrix, Pixels

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.embedding.multilingual import MultilingualTower

# Parts of the names of OpenCLIP's text towers that were trained on many languages.
_MULTILINGUAL = ("xlm", "multilingual", "nllb", "mt5", "siglip2", "siglip-i18n", "webli-i18n", "-i18n-")
_STRONGER = "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k"


def known_languages(embedder: Embedder) -> frozenset[str] | None:
    """Return the codes of the languages a model's own text tower knows; None when it knows many, or says nothing.

    A model folder states them; an OpenCLIP model is English unless its name tells of a text tower of many languages.
    """
    if isinstance(embedder, OnnxEmbedder):
        return frozenset(embedder.folder.text.languages) or None
    return languages_of_name(embedder.spec.name)


def languages_of_name(name: str) -> frozenset[str] | None:
    """Return what the name of an OpenCLIP model tells of its languages; None when they are many."""
    return None if any(part in name.lower() for part in _MULTILINGUAL) else frozenset({"en"})


class Polyglot:
    """An embedder whose texts may be of any language its model, or the second text tower beside it, can read.

    Pictures, and texts of languages that the model knows itself, have exactly the vectors they have without it. The
    language of a text is ``language``, or found out for each text. What else the embedder can do is passed on.
    """

    def __init__(self, embedder: Embedder, language: str | None = None) -> None:
        """Stand before ``embedder``; a second tower is looked for when a text first asks for it.

        It is the one in the folder ``multilingual`` of the model's own folder, or the one that comes with the built-in
        model.
        """
        self._embedder, self._language = embedder, language
        self.spec, self.dim = embedder.spec, embedder.dim
        self._known = known_languages(embedder)
        self._lock = threading.Lock()
        self._tower: MultilingualTower | None = None
        self._why = ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the embedder has
        """Return what the embedder has beyond the protocol."""
        if name == "_embedder":  # not there yet: the object is being copied or made
            raise AttributeError(name)
        return getattr(self._embedder, name)

    def release(self) -> None:
        """Let go of memory that can be had again, the second tower's too."""
        with self._lock:
            self._tower = None
        release(self._embedder)

    @property
    def batch_size(self) -> int:
        """How many pictures are embedded together."""
        return self._embedder.batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._embedder.batch_size = size

    def preprocess(self, pixels: Pixels) -> Pixels:
        """Return ``(height, width, 3) uint8`` at the image tower's size."""
        return self._embedder.preprocess(pixels)

    def embed_pixels(self, batch: NDArray[np.uint8]) -> FloatMatrix:
        """Embed ``(n, height, width, 3) uint8`` preprocessed pixels to ``(n, dim)``."""
        return self._embedder.embed_pixels(batch)

    def embed_images(self, images: Sequence["Image.Image"]) -> FloatMatrix:
        """Embed opened pictures to ``(n, dim)``."""
        return self._embedder.embed_images(images)

    def embed_texts(self, texts: Sequence[str]) -> FloatMatrix:
        """Embed texts to ``(n, dim)``, each by the tower that knows its language; by the model's own if none does.

        Raises:
            ModelError: a tower that is there cannot be loaded, or a text has no usable vector.
        """
        tower = None
        foreign = [row for row, text in enumerate(texts) if not self._knows(self.language_of(text))]
        if foreign:
            tower = self._second()
        if tower is None:
            return self._embedder.embed_texts(texts)
        out = np.empty((len(texts), self.dim), dtype=np.float32)
        out[foreign] = tower.embed_texts([texts[row] for row in foreign])
        own = sorted(set(range(len(texts))) - set(foreign))
        if own:
            out[own] = self._embedder.embed_texts([texts[row] for row in own])
        return out

    def text_notes(self, text: str) -> list[str]:
        """Return what the user should know of how ``text`` is read, one line each; empty when nothing."""
        language = self.language_of(text)
        if self._knows(language):
            return self._embedder.text_notes(text)
        tower = self._second()
        if tower is not None:
            return tower.text_notes(text, language, retold(languages()[language].name))
        line = _("the model {name} does not know {language}; {reason}").format(
            name=self.spec.name, language=retold(languages()[language].name), reason=self._why
        )
        return [line, *self._embedder.text_notes(text)]

    def language_of(self, text: str) -> str:
        """Return the ISO 639-1 code of the language ``text`` is read in."""
        return self._language or language_of(text)

    def _knows(self, language: str) -> bool:
        return self._known is None or language in self._known

    def _second(self) -> "MultilingualTower | None":
        """Return the second text tower, or None with the reason in ``_why``."""
        with self._lock:
            if self._tower is None and not self._why:
                if not isinstance(self._embedder, OnnxEmbedder):
                    self._why = _("ask in English, or index with a model of many languages such as {name}").format(
                        name=_STRONGER
                    )
                    return None
                from retrieval.embedding.multilingual import FOLDER, MultilingualTower, shipped_tower

                own = self._embedder.folder.path / FOLDER
                folder = own if own.is_dir() else shipped_tower()
                try:
                    self._tower = MultilingualTower(folder, self.spec)
                except (ModelNotFound, ModelMismatch) as error:
                    self._why = str(error)
            return self._tower
