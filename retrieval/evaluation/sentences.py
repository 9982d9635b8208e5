"""Pure scores of sentences against references: BLEU and CIDEr, worked out as their papers define them.

Sentences are compared as words in lower case without punctuation, not stemmed, so figures stand beside one another but
not beside those of another tokenizer. In Chinese and Japanese each character is a word.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

Ngram = tuple[str, ...]
Counts = Counter[Ngram]

# Chinese characters with their extensions, and kana: no space stands between their words.
_UNSPACED = "\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"[^\W_{_UNSPACED}]"
_TOKEN = re.compile(rf"(?=\w)[{_UNSPACED}]|{_LETTER}+(?:['’-]{_LETTER}+)*")
_LONGEST = 4
_SIGMA = 6.0
_SCALE = 10.0


def tokens(sentence: str) -> tuple[str, ...]:
    """Return the words of a sentence in lower case, without punctuation; of Chinese and Japanese the characters."""
    return tuple(_TOKEN.findall(sentence.lower()))


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]], longest: int = _LONGEST) -> float:
    """Return BLEU of a corpus, from 0 to 1 (Papineni et al., "BLEU", ACL 2002).

    Clipped counts of n-grams up to ``longest`` are summed over the corpus before their precisions are averaged
    geometrically with equal weights; the brevity penalty takes the reference length nearest to each candidate's (the
    shorter of two as near). Nothing is smoothed: without one matching n-gram of some length BLEU is 0.

    Raises:
        ValueError: not as many candidates as lists of references, none at all, or a candidate without a reference.
    """
    _check(candidates, references)
    matched, offered = [0] * longest, [0] * longest
    length = wanted = 0
    for candidate, own in zip(candidates, references, strict=True):
        words, others = tokens(candidate), [tokens(reference) for reference in own]
        length += len(words)
        wanted += min((abs(len(other) - len(words)), len(other)) for other in others)[1]
        for n in range(1, longest + 1):
            counts = _ngrams(words, n)
            most: Counts = Counter()
            for other in others:
                most |= _ngrams(other, n)
            matched[n - 1] += sum((counts & most).values())
            offered[n - 1] += sum(counts.values())
    if not all(matched):
        return 0.0
    precision = sum(math.log(hit / made) for hit, made in zip(matched, offered, strict=True)) / longest
    return math.exp(precision + min(0.0, 1 - wanted / length))


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]], *, robust: bool = False) -> float:
    """Return CIDEr of a corpus, from 0 to 10 (Vedantam et al., "CIDEr", CVPR 2015).

    The mean over candidates of ten times the mean cosine, over references and n-gram lengths 1 to 4, of vectors of term
    frequency times inverse document frequency; a document is the references of one picture, and the frequencies come
    from the references given. With ``robust`` it is CIDEr-D of the same paper: counts are clipped to the reference's,
    and each reference weighs by a Gaussian (sigma 6) of the difference in length. An n-gram that all pictures have in
    common weighs nothing, so one picture alone always scores 0.

    Raises:
        ValueError: as ``bleu``.
    """
    _check(candidates, references)
    own = [[_all_ngrams(reference) for reference in group] for group in references]
    rarity = _rarity(own)
    scores = []
    for candidate, group in zip(candidates, own, strict=True):
        counts = _all_ngrams(candidate)
        scores.append(np.mean([_likeness(counts, reference, rarity, robust) for reference in group]))
    return _SCALE * float(np.mean(scores))


class _Rarity:
    """The inverse document frequency of n-grams over pictures."""

    def __init__(self, documents: int, having: Counts) -> None:
        self._all, self._having = math.log(documents), having

    def of(self, ngram: Ngram) -> float:
        """Return ``log(pictures / pictures that have it)``; one that none has counts as of one."""
        return self._all - math.log(max(1, self._having[ngram]))


def _rarity(own: Sequence[Sequence[Sequence[Counts]]]) -> _Rarity:
    having: Counts = Counter()
    for group in own:
        having.update({ngram for reference in group for counts in reference for ngram in counts})
    return _Rarity(len(own), having)


def _likeness(candidate: Sequence[Counts], reference: Sequence[Counts], rarity: _Rarity, robust: bool) -> float:
    """Return the mean over n of the cosines of TF-IDF vectors, from 0 to 1.

    The common length of a vector's n-grams cancels out of a cosine, so counts stand for frequencies; it would not when
    counts are clipped, and CIDEr-D clips counts.
    """
    cosines = []
    for ours, theirs in zip(candidate, reference, strict=True):
        a = {ngram: count * rarity.of(ngram) for ngram, count in ours.items()}
        b = {ngram: count * rarity.of(ngram) for ngram, count in theirs.items()}
        dot = sum((min(value, b[ngram]) if robust else value) * b[ngram] for ngram, value in a.items() if ngram in b)
        lengths = _length(a) * _length(b)
        cosines.append(dot / lengths if lengths else 0.0)
    mean = sum(cosines) / len(cosines)
    if not robust:
        return mean
    gap = sum(candidate[0].values()) - sum(reference[0].values())
    return mean * math.exp(-(gap**2) / (2 * _SIGMA**2))


def _length(vector: dict[Ngram, float]) -> float:
    return math.sqrt(sum(value**2 for value in vector.values()))


def _all_ngrams(sentence: str) -> tuple[Counts, ...]:
    words = tokens(sentence)
    return tuple(_ngrams(words, n) for n in range(1, _LONGEST + 1))


def _ngrams(words: Sequence[str], n: int) -> Counts:
    return Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def _check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not candidates or len(candidates) != len(references):
        raise ValueError(f"{len(candidates)} candidates and {len(references)} lists of references; wanted as many")
    if not all(references):
        raise ValueError("a candidate has no reference")
