"""The texts of queries as vectors, embedded together."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from retrieval.embedding.prompts import embed_prompted
from retrieval.errors import ModelError
from retrieval.types import FloatMatrix

if TYPE_CHECKING:
    from retrieval.embedding import Embedder


class Text(NamedTuple):
    """A text as a vector, ``(1, dim)``, and what the user should know of how it is read."""

    vector: FloatMatrix
    notes: tuple[str, ...]


class Texts:
    """Texts of one query or many, put into the sentences of a prompt and embedded in one batch."""

    def __init__(self, embedder: "Embedder", texts: Iterable[str], prompt: Sequence[str] = ()) -> None:
        """Embed ``texts``; one that the model has no vector for is told when it is asked for."""
        self._embedder, self._prompt = embedder, prompt
        self._known: dict[str, Text] = {}
        with contextlib.suppress(ModelError):
            self._embed(list(dict.fromkeys(texts)))

    def of(self, text: str) -> Text:
        """Return one of the texts.

        Raises:
            ModelError: the model has no usable vector for it.
        """
        if text not in self._known:
            self._embed([text])
        return self._known[text]

    def _embed(self, texts: Sequence[str]) -> None:
        vectors, notes = embed_prompted(self._embedder, texts, self._prompt)
        for place, (text, said) in enumerate(zip(texts, notes, strict=True)):
            self._known[text] = Text(vectors[place : place + 1], tuple(said))
