"""A minus at the beginning of a word: what it takes away, and what it leaves as it is."""

import pytest

from retrieval.errors import QueryError
from retrieval.query import NEGATED, parse_query, quote_part


def told(text: str) -> list[tuple[str, str, float]]:
    return [tuple(part) for part in parse_query(text).parts]


def wanted(value: str) -> tuple[str, str, float]:
    return ("text", value, 1.0)


def away(value: str, weight: float = NEGATED) -> tuple[str, str, float]:
    return ("text", value, -weight)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("car -red", [wanted("car"), away("red")]),
        ("car -red fast", [wanted("car fast"), away("red")]),
        ("-red car", [wanted("car"), away("red")]),
        ("car\t-red\n", [wanted("car"), away("red")]),
        ('beach -people -"red umbrella"', [wanted("beach"), away("people"), away("red umbrella")]),
        ('-"red umbrella" beach', [wanted("beach"), away("red umbrella")]),
        ('beach -"a \\" + b" sand', [wanted("beach sand"), away('a " + b')]),
        ("车 -红色", [wanted("车"), away("红色")]),
        ("beach -wi-fi", [wanted("beach"), away("wi-fi")]),
        ("beach - 2019 -people", [wanted("beach - 2019"), away("people")]),
        ('beach -like:"x.jpg"', [wanted("beach"), ("image", "x.jpg", -NEGATED)]),
        ('beach -("two people" + 2:dogs)', [wanted("beach"), away("two people"), away("dogs", 2 * NEGATED)]),
        ('"a dog" -red', [wanted("a dog"), away("red")]),
        ('"a dog" -"red" + "snow"', [wanted("a dog"), away("red"), wanted("snow")]),
        ('"a dog" + snow -red deep - "people"', [wanted("a dog"), wanted("snow deep"), away("red"), away("people")]),
        ('2:"a dog" -("red" + "blue")', [("text", "a dog", 2.0), away("red"), away("blue")]),
        ('"a dog" - snow -red', [wanted("a dog"), away("snow"), away("red")]),
        ('"a dog" - -red', [wanted("a dog"), away("red")]),
        ("car -red where:(kind:video)", [wanted("car"), away("red")]),
    ],
)
def test_what_is_taken_away(text, parts):
    assert told(text) == parts
    assert parse_query(str(parse_query(text))) == parse_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "wi-fi",
        "beach - 2019",
        "-5 degrees",
        "at -5 degrees",
        "-.5 and -0.5",
        "a dash -- and another",
        "--verbose",
        "a -) smile",
        "-",
        "a -(b c) d",
        "車-赤",
    ],
)
def test_what_stays_a_character_like_any_other(text):
    assert len(told(text)) == 1
    assert told(text)[0][2] == 1.0


def test_a_backslash_keeps_the_minus():
    assert told(r"car \-red") == [wanted("car -red")]
    assert str(parse_query(r"car \-red")) == '"car -red"'


def test_without_a_weight_half_is_taken_away():
    assert NEGATED == 0.5
    assert parse_query('"a" - "b"') == parse_query('"a" - 0.5:"b"') == parse_query("a", minus=["b"])
    assert str(parse_query("car -red")) == '"car" - "red"'
    assert str(parse_query('"a" - 1:"b"')) == '"a" - 1:"b"'


@pytest.mark.parametrize("text", ["-red", '-"red umbrella" -people', 'car -"red', '"a dog" -red umbrella', 'car -""'])
def test_what_makes_no_query_says_what_to_do(text):
    with pytest.raises(QueryError, match=r"give|expected|add one"):
        parse_query(text)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("car -red", '"car" - "red"'),
        ("car -red fast", '"car fast" - "red"'),
        ("-red", '-0.5:"red"'),
        ("car -red where:(kind:video)", '"car" - "red" where:(kind:video)'),
    ],
)
def test_words_that_lost_their_quotes_keep_what_they_take_away(words, part):
    assert quote_part(words) == part
