"""Which written words count as forms of a word."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.labels.inflection import Vocabulary, mentions, split_words
from retrieval.labels.words import builtin_words

_WORD = st.text(st.sampled_from("bcdfghklmnprtaeiou"), min_size=3, max_size=9)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("dog", "Two dogs ."),
        ("running", "A man runs ."),
        ("running", "she ran"),
        ("run", "someone running"),
        ("bicycle", "two bikes"),
        ("bicycle", "a boy biking"),
        ("person", "people"),
        ("person", "some people's things, people"),
        ("puppy", "puppies"),
        ("bus", "buses"),
        ("bus", "a bus"),
        ("skis", "one ski"),
        ("dress", "dressed"),
        ("carrying", "he carried it"),
        ("tie", "tied"),
        ("leaf", "autumn leaves"),
        ("lying", "a dog lies down"),
        ("baking", "she baked a cake"),
        ("t-shirt", "red T-shirts!"),
        ("hot dog", "two hot dogs"),
        ("riding a bicycle", "he rides a bike"),
        ("glasses", "a glass"),
    ],
)
def test_forms_are_found(word: str, text: str) -> None:
    assert mentions(word, [text])


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("skis", "the skies"),
        ("wing", "wed"),
        ("king", "ked"),
        ("red", "read"),
        ("bed", "bees"),
        ("bus", "bu"),
        ("car", "cartoon"),
        ("hot dog", "a hot brown dog"),
        ("hot dog", "a dog, hot"),
        ("man", "a woman"),
        ("sea", ""),
    ],
)
def test_other_words_are_not(word: str, text: str) -> None:
    assert not mentions(word, [text])


@settings(max_examples=50, deadline=None)
@given(_WORD)
def test_a_word_and_its_plural_are_forms_of_one_another(word: str) -> None:
    ending = "es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s"
    assert mentions(word, [word + ending])
    assert mentions(word + ending, [word])


@settings(max_examples=50, deadline=None)
@given(_WORD, _WORD)
def test_being_a_form_goes_both_ways(first: str, second: str) -> None:
    assert mentions(first, [second]) == mentions(second, [first])


def test_a_vocabulary_says_what_each_word_would_say_alone() -> None:
    words = builtin_words().words
    texts = ["A black dog runs through the snow .", "Two men are riding bikes near the sea ."]
    found = Vocabulary(words).found_in(texts)
    assert [word for word, here in zip(words, found, strict=True) if here] == [
        word for word in words if mentions(word, texts)
    ]
    assert {"dog", "running", "snow", "man", "riding", "bicycle", "sea"} <= {
        word for word, here in zip(words, found, strict=True) if here
    }


def test_every_built_in_word_finds_itself() -> None:
    for word in builtin_words().words:
        assert mentions(word, [f"look, {word.upper()}!"])


def test_punctuation_is_no_part_of_a_word() -> None:
    assert split_words("A dog's ball-game, (red) T-shirt.") == ("a", "dog's", "ball-game", "red", "t-shirt")
