"""BLEU and CIDEr against cases worked out by hand, and the laws they keep."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.evaluation.sentences import bleu, cider, tokens

_WORD = st.sampled_from(["a", "dog", "cat", "runs", "in", "snow", "the", "red"])
_SENTENCE = st.lists(_WORD, min_size=4, max_size=9).map(" ".join)
_FIVE_WORDS = st.lists(_WORD, min_size=5, max_size=5).map(" ".join)
_CORPUS = st.lists(st.tuples(_SENTENCE, st.lists(_SENTENCE, min_size=1, max_size=3)), min_size=1, max_size=4)


def split(corpus: list[tuple[str, list[str]]]) -> tuple[list[str], list[list[str]]]:
    return [candidate for candidate, _ in corpus], [references for _, references in corpus]


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert tokens("A dog's T-shirt, red .") == ("a", "dog's", "t-shirt", "red")
    assert bleu(["A dog runs in SNOW !"], [["a dog, runs in snow"]]) == pytest.approx(1.0)


def test_characters_of_chinese_are_words() -> None:
    assert tokens("一只狗，在雪地里。") == ("一", "只", "狗", "在", "雪", "地", "里")
    assert tokens("一只T-shirt狗 3只") == ("一", "只", "t-shirt", "狗", "3", "只")
    assert tokens("𠀀犬がアー・ル 개가 뛴다") == ("𠀀", "犬", "が", "ア", "ー", "ル", "개가", "뛴다")
    # Seven characters of eight, 2-grams 5/7, 3-grams 3/6, 4-grams 1/5; the lengths are equal.
    found = bleu(["一只狗在雪中跑步"], [["一只狗在草中跑步"]])
    assert found == pytest.approx((7 / 8 * 5 / 7 * 3 / 6 * 1 / 5) ** 0.25)


def test_counts_are_clipped_as_in_the_first_example_of_the_paper() -> None:
    # Papineni et al., section 2.1: "the" seven times matches twice; two references, the shorter of six words.
    references = [["The cat is on the mat.", "There is a cat on the mat."]]
    assert bleu(["the the the the the the the"], references, longest=1) == pytest.approx(2 / 7)


def test_bleu_of_two_sentences_worked_out_by_hand() -> None:
    # 1-grams 3/4 and 4/4, 2-grams 2/3 and 3/3, 3-grams 1/2 and 2/2, 4-grams 0/1 and 1/1; lengths 8 and 8.
    found = bleu(["a dog runs fast", "the cat is here"], [["a dog runs now"], ["the cat is here"]])
    assert found == pytest.approx(((7 / 8) * (5 / 6) * (3 / 4) * (1 / 2)) ** 0.25)


def test_short_sentences_pay_the_brevity_penalty() -> None:
    # All four n-grams match; 4 words against 6 of the nearest reference (of lengths 6 and 9).
    found = bleu(["one two three four"], [["one two three four five six", "a b c d e f g h i"]])
    assert found == pytest.approx(math.exp(1 - 6 / 4))


def test_of_two_lengths_as_near_the_shorter_counts() -> None:
    # Five words against references of four and six: length four asks for no penalty.
    found = bleu(["one two three four five"], [["one two three four five six", "one two three four"]])
    assert found == pytest.approx(1.0)


def test_without_a_matching_ngram_bleu_is_nothing() -> None:
    assert bleu(["a dog runs"], [["a dog runs"]]) == 0.0  # three words hold no 4-gram
    assert bleu(["x y z w"], [["a b c d"]]) == 0.0
    assert bleu([""], [["a b c d"]]) == 0.0


def test_cider_of_two_pictures_worked_out_by_hand() -> None:
    # "a" is in the references of both pictures and weighs nothing, every other 1-gram log 2. The first candidate shares
    # one of two weighing 1-grams (cosine 1/2), one of two 2-grams (1/2) and no 3-gram; the second is its reference.
    found = cider(["a dog sits", "a red car stops"], [["a dog runs"], ["a red car stops"]])
    first = 10 * (1 / 2 + 1 / 2 + 0 + 0) / 4
    second = 10 * (1 + 1 + 1 + 1) / 4
    assert found == pytest.approx((first + second) / 2)


def test_cider_weighs_rare_words_more() -> None:
    # "dog" is in two of three pictures, "kite" in one: vectors (log 3/2, log 3) and (log 3/2, 0).
    references = [["dog kite"], ["dog"], ["bird"]]
    rare, common = cider(["kite", "x", "x"], references), cider(["dog", "x", "x"], references)
    length = math.hypot(math.log(1.5), math.log(3))
    assert rare == pytest.approx(10 * (math.log(3) / length) / 4 / 3)
    assert common == pytest.approx(10 * (math.log(1.5) / length) / 4 / 3)


def test_clipping_and_lengths_set_the_robust_form_apart() -> None:
    references = [["dog kite"], ["bird nest"]]
    repeated = ["dog dog dog dog", "bird nest"]
    # Plain: cosine of (4, 0) and (1, 1). Robust: the count is clipped to 1, and two words too many cost exp(-4 / 72).
    cosine = 1 / math.sqrt(2)
    assert cider(repeated, references) == pytest.approx(10 * (cosine / 4 + 2 / 4) / 2)
    clipped = (1 * 1) / (4 * math.sqrt(2)) * math.exp(-(2**2) / (2 * 6**2))
    assert cider(repeated, references, robust=True) == pytest.approx(10 * (clipped / 4 + 2 / 4) / 2)


def test_what_one_picture_alone_is_scored_by_weighs_nothing() -> None:
    assert cider(["a dog runs here"], [["a dog runs here"]]) == 0.0


@settings(deadline=None, max_examples=60)
@given(st.lists(_SENTENCE, min_size=1, max_size=5))
def test_identical_sentences_score_full_marks(sentences: list[str]) -> None:
    assert bleu(sentences, [[sentence] for sentence in sentences]) == pytest.approx(1.0)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 6))
def test_candidates_equal_to_their_only_references_have_the_highest_cider(count: int) -> None:
    own = [[" ".join(f"w{at}x{n}" for n in range(5))] for at in range(count)]
    sentences = [references[0] for references in own]
    assert cider(sentences, own) == pytest.approx(10.0)
    assert cider(sentences, own, robust=True) == pytest.approx(10.0)


@settings(deadline=None, max_examples=60)
@given(_CORPUS, st.randoms(use_true_random=False))
def test_the_order_of_references_and_of_pictures_changes_nothing(corpus, shuffler) -> None:
    candidates, references = split(corpus)
    turned = [(candidate, shuffler.sample(own, len(own))) for candidate, own in corpus]
    shuffler.shuffle(turned)
    assert bleu(*split(turned)) == pytest.approx(bleu(candidates, references))
    for robust in (False, True):
        assert cider(*split(turned), robust=robust) == pytest.approx(cider(candidates, references, robust=robust))


@settings(deadline=None, max_examples=60)
@given(_CORPUS)
def test_scores_stay_in_their_bounds_and_the_robust_form_is_never_higher(corpus) -> None:
    candidates, references = split(corpus)
    assert 0 <= bleu(candidates, references) <= 1 + 1e-12
    assert -1e-12 <= cider(candidates, references, robust=True) <= cider(candidates, references) + 1e-9 <= 10 + 1e-8


@settings(deadline=None, max_examples=60)
@given(st.lists(_FIVE_WORDS, min_size=4, max_size=4))
def test_another_reference_of_that_length_never_lowers_bleu(sentences: list[str]) -> None:
    candidate, first, second, more = sentences
    fewer = bleu([candidate, candidate], [[first], [second]], longest=2)
    assert bleu([candidate, candidate], [[first, more], [second, more]], longest=2) >= fewer - 1e-12


@pytest.mark.parametrize(("candidates", "references"), [([], []), (["a"], []), (["a"], [["b"], ["c"]]), (["a"], [[]])])
def test_what_cannot_be_scored_is_refused(candidates: list[str], references: list[list[str]]) -> None:
    for score in (bleu, cider):
        with pytest.raises(ValueError, match="reference"):
            score(candidates, references)
