"""Brackets in formulas: weights distribute, and plain brackets stay plain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import QueryError
from retrieval.filters import quote
from retrieval.query import NEGATED, parse_query
from retrieval.types import Part


def told(text: str) -> list[tuple[str, float]]:
    return [(part.value, part.weight) for part in parse_query(text).parts]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('2:("a dog" + "snow") - "people"', [("a dog", 2), ("snow", 2), ("people", -0.5)]),
        ('("a dog" + snow) - people', [("a dog", 1), ("snow", 1), ("people", -0.5)]),
        ("2:(dog + 0.5:snow)", [("dog", 2), ("snow", 1)]),
        ('2:(3:("a" + "b") - 2:("c" - 1:"d"))', [("a", 6), ("b", 6), ("c", -4), ("d", 4)]),
        ('"x" - ("a" + "b")', [("x", 1), ("a", -0.5), ("b", -0.5)]),
        ('"x" - 1:("a" - "b")', [("x", 1), ("a", -1), ("b", 0.5)]),
        ('-1:("a" + "b") + 3:"x"', [("a", -1), ("b", -1), ("x", 3)]),
        ('("a" + snow (deep) and cold) + "b"', [("a", 1), ("snow (deep) and cold", 1), ("b", 1)]),
        (r'("a" + "b\)" + c\)) + "d"', [("a", 1), ("b)", 1), ("c)", 1), ("d", 1)]),
        ('( ("a") )', [("a", 1)]),
        ('(like:"x.jpg" + 2:item:"y.mp4#t=2") - vector:"z.npy"', [("x.jpg", 1), ("y.mp4#t=2", 2), ("z.npy", -0.5)]),
        ('2:("car" -red)', [("car", 2), ("red", -1)]),
        ("2:(car -red fast)", [("car fast", 2), ("red", -1)]),
        ('("a dog" + "snow") where:(kind:video)', [("a dog", 1), ("snow", 1)]),
    ],
)
def test_groups(text, parts):
    assert told(text) == [(value, float(weight)) for value, weight in parts]
    assert parse_query(str(parse_query(text))) == parse_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "(a dog) in the snow",
        "(a dog + snow) - people",
        "a (brown) dog",
        ":( sad",
        "(",
        "((((",
        ")(",
        "()",
        "f(x) + g(x)",
    ],
)
def test_brackets_of_plain_words_are_characters(text):
    assert told(text) == [(text, 1.0)]


def test_plain_brackets_within_a_formula():
    assert told('(1) a dog + "snow"') == [("(1) a dog", 1.0), ("snow", 1.0)]
    assert told('"snow" + a dog :)') == [("snow", 1.0), ("a dog :)", 1.0)]
    assert told(r'\("snow" + b\) c') == [('("snow" + b) c', 1.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('2:("a" + "b"', "position 3: a bracket is not closed"),
        ('("a" + "b")) - "c"', "position 12: expected + or - between parts"),
        ('("a" + "b") c', "position 13: expected + or - between parts"),
        ('"x" + ()', "found nothing"),
        ('"x" + ("a" + )', "found nothing"),
        ("0:(a + b)", "of no use"),
        ("(" * 60 + '"a"' + ")" * 60, "at most 50 brackets"),
        ('("a" where:(kind:video))', "not closed"),
        ("1e200:(1e200:(a))", "of no use"),
    ],
)
def test_errors_say_where_and_what(text, words):
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


WEIGHTS = st.sampled_from([None, 0.5, 2.0, 3.0, -1.0])
LEAVES = st.tuples(st.text(st.sampled_from('ab "\\()+-:'), min_size=1, max_size=6).filter(str.strip))
TREES = st.recursive(LEAVES, lambda inner: st.lists(st.tuples(st.booleans(), WEIGHTS, inner), min_size=1, max_size=3))


def written(tree) -> str:
    """Print a tree of parts with its brackets."""
    if isinstance(tree, tuple):
        return quote(tree[0])
    terms = []
    for place, (minus, weight, inner) in enumerate(tree):
        sign = "- " if minus else "+ " if place else ""
        terms.append(f"{sign}{'' if weight is None else f'{weight:g}:'}{written(inner)}")
    return f"({' '.join(terms)})"


def flat(tree, factor: float = 1.0) -> list[Part]:
    """Multiply the weights out, the long way."""
    if isinstance(tree, tuple):
        return [Part("text", tree[0], factor)]
    parts = []
    for minus, weight, inner in tree:
        own = (NEGATED if minus else 1.0) if weight is None else weight
        parts += flat(inner, factor * (-own if minus else own))
    return parts


@given(TREES)
def test_brackets_multiply_out(tree):
    parts = flat(tree)
    text = written(tree) + ' + 1000000:"x"'  # something to look for
    assert parse_query(text).parts == (*parts, Part("text", "x", 1e6))
    assert parse_query(str(parse_query(text))) == parse_query(text)


@pytest.mark.parametrize("text", ["( + " * 45, "(a + " * 45 + "b", "-(a " * 45, "a (b " * 5000])
def test_brackets_that_are_not_closed_are_read_in_no_long_time(text):
    assert told(text) == [(text.strip(), 1.0)]
