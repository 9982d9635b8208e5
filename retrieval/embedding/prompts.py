"""Prompts: sentences that a text is put into before it is embedded, averaged where there are several.

Models that were trained on captions read "a photo of a cat" otherwise than "cat" (Radford et al., Learning Transferable
Visual Models From Natural Language Supervision, ICML 2021, section 3.1.4, where the mean over many sentences is best).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrieval.errors import OptionError
from retrieval.messages import N_, _
from retrieval.types import FloatMatrix

if TYPE_CHECKING:
    from retrieval.embedding.base import Embedder

SLOT = "{}"
"""Where the text stands in a prompt."""

PROMPTS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "photo": ("a photo of {}",),
    "ensemble": (
        "{}",
        "a photo of {}",
        "a picture of {}",
        "an image of {}",
        "a snapshot of {}",
        "a close-up photo of {}",
        "a blurry photo of {}",
        "a photo of {} outdoors",
    ),
}
"""The prompts that are built in, by name; they are English."""


def prompt_named(name: str, own: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the sentences of a prompt: one of the user's ``own``, else one that is built in.

    Raises:
        OptionError: there is none of that name.
    """
    known = {**PROMPTS, **own}
    if name not in known:
        message = _("there is no prompt {name!r}; use {names}, or add it to settings.toml under [prompts]")
        raise OptionError(message.format(name=name, names=", ".join(known)))
    return known[name]


def embed_prompted(
    embedder: "Embedder", texts: Sequence[str], prompt: Sequence[str]
) -> tuple[FloatMatrix, list[list[str]]]:
    """Embed texts in all sentences of a prompt, ``(n, dim) float32``, rows of length 1: the direction of their mean.

    A text in another language than a sentence is not put into it: where that leaves none, it is embedded as it is.
    Returns the vectors and, for each text, what the user should know.

    Raises:
        ModelError: a text has no usable vector.
    """
    told_apart: Callable[[str], str] | None = getattr(embedder, "language_of", None)
    filled = [_filled(text, prompt, told_apart) for text in texts]
    flat = list(dict.fromkeys(sentence for sentences in filled for sentence in sentences))
    rows = dict(zip(flat, embedder.embed_texts(flat) if flat else (), strict=True))
    vectors = np.empty((len(texts), embedder.dim), np.float32)
    notes: list[list[str]] = []
    for place, (text, sentences) in enumerate(zip(texts, filled, strict=True)):
        if len(sentences) == 1:
            vectors[place] = rows[sentences[0]]
        else:
            mean = np.mean([rows[sentence].astype(np.float64) for sentence in sentences], axis=0)
            vectors[place] = mean / np.linalg.norm(mean)
        notes.append(embedder.text_notes(max(sentences, key=len)))
        if prompt and sentences == [text]:
            note = N_("the prompt is in another language than {text!r}, which is read without it")
            notes[-1].insert(0, note.format(text=text[:40]))
    return vectors, notes


def _filled(text: str, prompt: Sequence[str], told_apart: Callable[[str], str] | None) -> list[str]:
    fits = [one for one in prompt if told_apart is None or told_apart(one.replace(SLOT, "")) == told_apart(text)]
    return [one.replace(SLOT, text) for one in fits] or [text]
