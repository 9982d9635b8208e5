"""The words a file can be found by, in SQLite's full-text index: those of its name, its folders, and what it tells.

The index (FTS5) cuts text at everything but letters and digits. What it does not know is told to it here: in scripts
that are written without spaces each character is a word, and a name such as ``BeachHouse2019`` holds three.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from retrieval.store.wording import HAN_AND_KANA

WEIGHTS = (4.0, 2.0, 1.0)
"""What a word in the name, in the folders, and in what a file tells counts for (the columns of the table, in bm25)."""
MOST_TERMS = 64
"""How many different words of a query are looked for."""

# Compiled when they are first used: most queries need none of them, and compiling takes longer than all imports here.
_SPACELESS = f"([{HAN_AND_KANA}])"
_JOINTS = r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])"
_TERM = rf"[{HAN_AND_KANA}]+|[^\W_{HAN_AND_KANA}]+"
_HAN = f"[{HAN_AND_KANA}]"
_SMALL_WORDS = """
a an and are as at be by for from has have he her his in into is it its of on or she that the their them there they this
to was were which who with
"""
_STOP_WORDS = frozenset(_SMALL_WORDS.split())


class Words(NamedTuple):
    """A row of the full-text index."""

    name: str
    folders: str
    told: str


def words_of(path: str, root: str, told: str, keywords: Iterable[str]) -> Words:
    """Return what a file can be found by: ``path`` and ``root``, the folder that was indexed, as text.

    Folders count from the root on, its own name included; the ending of the file's name does not count.
    """
    folder, _slash, name = path.rpartition("/")
    above = root.rstrip("/").rpartition("/")[0]
    within = folder[len(above) :] if folder.startswith(root.rstrip("/")) else folder
    stem = name.rpartition(".")[0] or name
    return Words(_apart(stem), _apart(within.replace("/", " ")), _spaced(" ".join([told, *keywords])))


def terms_of(wanted: Sequence[str]) -> list[str]:
    """Return the words of texts as FTS5 phrases, each once, at most ``MOST_TERMS``.

    Small words of English count only where there are no others. Of characters written without spaces, any two
    neighbours count as a word.
    """
    terms = list(dict.fromkeys(term for text in wanted for term in _terms(text)))
    telling = [term for term in terms if term.strip('"').lower() not in _STOP_WORDS]
    return (telling or terms)[:MOST_TERMS]


def match_of(terms: Sequence[str], unwanted: Sequence[str] = ()) -> str:
    """Return the FTS5 expression for any of some terms, and none of the unwanted texts.

    What is unwanted is left out where all its words follow one another. Whatever the texts hold, the expression is a
    valid one.
    """
    phrases = [f'"{words}"' for text in unwanted if (words := " ".join(re.findall(_TERM, _spaced(text))))]
    without = f" NOT ({' OR '.join(phrases[:MOST_TERMS])})" if phrases else ""
    return f"({' OR '.join(terms)}){without}"


def _terms(text: str) -> Iterator[str]:
    for run in re.findall(_TERM, text):
        if not re.match(_HAN, run) or len(run) == 1:
            yield f'"{run}"'
        else:
            yield from (f'"{run[at]} {run[at + 1]}"' for at in range(len(run) - 1))


def _apart(name: str) -> str:
    """Return a name as it is and, where digits or capitals join words in it, taken apart as well."""
    apart = re.sub(_JOINTS, " ", name)
    return _spaced(name if apart == name else f"{name} {apart}")


def _spaced(text: str) -> str:
    return re.sub(_SPACELESS, r" \1 ", text)
