"""Which words of a text are forms of a given English word: plural, -s, -ed, -ing, and common irregular ones."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Bases = frozenset[str]
"""What one written word may be a form of; two words are forms of one another when their bases meet."""

_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SHORTEST = 3
_VOWELS = frozenset("aeiouy")
_IRREGULAR = {
    form: base
    for base, forms in {
        "man": "men",
        "woman": "women",
        "child": "children",
        "person": "people",
        "foot": "feet",
        "tooth": "teeth",
        "mouse": "mice",
        "goose": "geese",
        "leaf": "leaves",
        "knife": "knives",
        "shelf": "shelves",
        "wolf": "wolves",
        "calf": "calves",
        "scarf": "scarves",
        "hoof": "hooves",
        "run": "ran",
        "swim": "swam swum",
        "sit": "sat",
        "stand": "stood",
        "lie": "lying lain",
        "sleep": "slept",
        "eat": "ate eaten",
        "drink": "drank drunk",
        "write": "wrote written",
        "draw": "drew drawn",
        "sing": "sang sung",
        "take": "took taken",
        "dig": "dug",
        "throw": "threw thrown",
        "catch": "caught",
        "ride": "rode ridden",
        "drive": "drove driven",
        "slide": "slid",
        "fall": "fell fallen",
        "fight": "fought",
        "hide": "hid hidden",
        "blow": "blew blown",
        "fly": "flew flown",
        "build": "built",
        "bicycle": "bike",
        "photo": "photograph picture",
        "television": "tv",
    }.items()
    for form in forms.split()
}


class Vocabulary:
    """Finds which of its words and phrases stand in texts, in any simple form."""

    def __init__(self, words: Sequence[str]) -> None:
        """Take the words or phrases in."""
        self._count = len(words)
        self._places: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        for place, word in enumerate(words):
            *before, last = split_words(word) or ("",)
            for base in bases(last):
                self._places.setdefault(base, []).append((place, tuple(before)))

    def found_in(self, texts: Iterable[str]) -> NDArray[np.bool_]:
        """Return ``(w,) bool``: which words stand in at least one of the texts."""
        found = np.zeros(self._count, dtype=np.bool_)
        for text in texts:
            tokens = split_words(text)
            for at, token in enumerate(tokens):
                for base in bases(token):
                    for place, before in self._places.get(base, ()):
                        if not found[place] and _alike(tokens[max(0, at - len(before)) : at], before):
                            found[place] = True
        return found


def _alike(words: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return len(words) == len(others) and all(bases(a) & bases(b) for a, b in zip(words, others, strict=True))


def mentions(phrase: str, texts: Iterable[str]) -> bool:
    """Say whether a form of the word or phrase stands in one of the texts."""
    return bool(Vocabulary([phrase]).found_in(texts)[0])


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case, without punctuation; ``t-shirt`` is one word."""
    return tuple(_TOKEN.findall(text.lower()))


@lru_cache(maxsize=65536)
def bases(word: str) -> Bases:
    """Return what a word in lower case may be a form of, itself included: ``running`` gives ``run`` among others."""
    found = {word} | _without_s(word) | _without(word, "ing") | _without(word, "ed")
    found |= {_IRREGULAR[form] for form in found if form in _IRREGULAR}
    return frozenset(found)


def _without_s(word: str) -> set[str]:
    """Return what a plural, or a verb with -s, may be a form of."""
    if len(word) <= _SHORTEST or not word.endswith("s") or word.endswith("ss"):
        return set()
    if word.endswith("ies"):
        return {word[:-3] + "y", word[:-1]}
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        return {word[:-2], word[:-1]}
    return {word[:-1]}


def _without(word: str, ending: str) -> set[str]:
    """Return what a verb with -ing or -ed may be a form of: ``ridden`` aside, the regular ones."""
    stem = word.removesuffix(ending)
    if stem == word or len(stem) < 2 or not _VOWELS & set(stem):
        return set()
    if stem.endswith("i") and ending == "ed":
        return {stem[:-1] + "y", stem + "e"}
    if len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in _VOWELS:
        return {stem, stem[:-1]}
    return {stem, stem + "e"}
