"""Which language a text is in, as far as its letters and its most telling words show.

A query is a few words long, too little for statistics of letters: what is certain is the script, and for languages in
Latin letters a word that English does not use. Everything else counts as English, since a wrong guess would send an
English query to a tower that knows English less well.
"""

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from retrieval.errors import OptionError
from retrieval.messages import _

DEFAULT = "en"

_TABLE = Path(__file__).with_name("languages.tsv")


class Language(NamedTuple):
    """A language that can be named, by its ISO 639-1 code; ``messages.retold`` translates the name.

    ``words`` are of this language and no English: the frequent small ones, and what pictures are most often of (of
    English itself: small words that speak against any other). ``shared`` are words that English texts, titles and names
    bring along as well, ``letters`` those that borrowed words hardly bring into English.
    """

    code: str
    name: str
    words: frozenset[str]
    shared: frozenset[str]
    letters: frozenset[str]


@cache
def languages() -> dict[str, Language]:
    """Return the languages that can be named, by code."""
    found = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines()[1:]:
        code, name, words, shared, letters = line.split("\t")
        own = frozenset(words.split()), frozenset(shared.split()), frozenset(letters)
        found[code] = Language(code, name, *own)
    return found


# First and last code point of a block of letters, and the language it is taken for, in ascending order.
_BLOCKS: tuple[tuple[int, int, str], ...] = (
    (0x0370, 0x03FF, "el"),
    (0x0400, 0x052F, "ru"),
    (0x0531, 0x058F, "hy"),
    (0x0590, 0x05FF, "he"),
    (0x0600, 0x06FF, "ar"),
    (0x0750, 0x077F, "ar"),
    (0x0900, 0x097F, "hi"),
    (0x0980, 0x09FF, "bn"),
    (0x0A00, 0x0A7F, "pa"),
    (0x0A80, 0x0AFF, "gu"),
    (0x0B00, 0x0B7F, "or"),
    (0x0B80, 0x0BFF, "ta"),
    (0x0C00, 0x0C7F, "te"),
    (0x0C80, 0x0CFF, "kn"),
    (0x0D00, 0x0D7F, "ml"),
    (0x0D80, 0x0DFF, "si"),
    (0x0E00, 0x0E7F, "th"),
    (0x0E80, 0x0EFF, "lo"),
    (0x1000, 0x109F, "my"),
    (0x10A0, 0x10FF, "ka"),
    (0x1100, 0x11FF, "ko"),
    (0x1200, 0x139F, "am"),
    (0x1780, 0x17FF, "km"),
    (0x1F00, 0x1FFF, "el"),
    (0x3005, 0x3007, "zh"),
    (0x3040, 0x30FF, "ja"),
    (0x3130, 0x318F, "ko"),
    (0x31F0, 0x31FF, "ja"),
    (0x3400, 0x4DBF, "zh"),
    (0x4E00, 0x9FFF, "zh"),
    (0xAC00, 0xD7AF, "ko"),
    (0xF900, 0xFAFF, "zh"),
    (0xFB50, 0xFDFF, "ar"),
    (0xFE70, 0xFEFF, "ar"),
    (0xFF66, 0xFF9F, "ja"),
    (0x20000, 0x323AF, "zh"),
)
_STARTS = [first for first, _last, _code in _BLOCKS]

# Letters that tell a language from the one its script is taken for.
_TELLING_LETTERS = {
    "ru": (("uk", frozenset("іїєґ")), ("sr", frozenset("ђјљњћџ"))),
    "ar": (("ur", frozenset("ٹڈڑںے")), ("fa", frozenset("پچژگ"))),
}

_ACCENTS = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of the language a text is most likely in; ``en`` when nothing shows another.

    One Han, Kana or Hangul letter decides, since no English text has one; of other scripts at least half of the
    letters must be. Languages in Latin letters are told by words and letters that English does not use, which leaves
    many a short query English: name the language where that is wrong.
    """
    letters = [char for char in unicodedata.normalize("NFC", text) if char.isalpha() or _block(char)]
    scripts = Counter(found for char in letters if (found := _block(char)))
    if scripts["ja"] or scripts["ko"] or scripts["zh"]:
        # Japanese mixes Kana with Han, so Kana outweighs any number of them.
        return "ja" if scripts["ja"] and not scripts["ko"] else max(("ko", "zh"), key=lambda code: scripts[code])
    if scripts and 2 * scripts.total() >= len(letters) and scripts.total() > 1:
        return _refined(scripts.most_common(1)[0][0], letters)
    return _latin(text)


def parse_language(text: str) -> str:
    """Read a language as ``zh``, also with a script or region (``zh-Hans``, ``pt_BR``).

    Raises:
        OptionError: it is none that can be named.
    """
    code = re.split(r"[-_]", text.strip().lower(), maxsplit=1)[0]
    if code not in languages():
        raise OptionError(
            _("--lang {text!r:.40} is not a language code; use en, zh, de, fr, es, ja and the like").format(text=text)
        )
    return code


def _block(char: str) -> str:
    """Return the language a letter's script is taken for; empty for Latin letters and what is no letter."""
    place = bisect_right(_STARTS, ord(char)) - 1
    return _BLOCKS[place][2] if place >= 0 and ord(char) <= _BLOCKS[place][1] else ""


def _refined(code: str, letters: list[str]) -> str:
    present = frozenset(char.lower() for char in letters)
    return next((other for other, telling in _TELLING_LETTERS.get(code, ()) if present & telling), code)


def _latin(text: str) -> str:
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text).lower())
    table = languages()
    english = sum(word in table[DEFAULT].words for word in words)
    scores = {code: _score(other, words) for code, other in table.items() if other.words and code != DEFAULT}
    best = max(scores, key=lambda code: scores[code])
    return best if scores[best] >= 1 and scores[best] > english else DEFAULT


def _score(language: Language, words: list[str]) -> float:
    """Return how much speaks for a language: a word that English lacks counts one, a shared or accented one a half.

    Without a word that English lacks it takes a shared one beside an accented one, or three different shared ones.
    """
    certain = sum(word in language.words or not language.letters.isdisjoint(word) for word in words)
    shared = language.shared.intersection(words)
    accented = sum(word not in language.words and _ACCENTS.search(word) is not None for word in words)
    if certain or len(shared) > 2 or (shared and accented):
        return certain + (len(shared) + accented) / 2
    return 0.0
