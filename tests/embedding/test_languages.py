"""The language of a query: what is told apart, and above all that English stays English."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.embedding import model_folder
from retrieval.embedding.languages import language_of, languages, parse_language
from retrieval.errors import OptionError

DATA = Path(os.environ.get("SIGHTSEEK_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("雪地里的狗", "zh"),
        ("穿T恤的人", "zh"),
        ("iPhone 手机", "zh"),
        ("雪の中の犬", "ja"),
        ("눈 속의 개", "ko"),
        ("собака в снегу", "ru"),
        ("собака в снігу", "uk"),
        ("كلب في الثلج", "ar"),
        ("سگ در برف", "fa"),
        ("बर्फ में कुत्ता", "hi"),
        ("หมาในหิมะ", "th"),
        ("σκύλος στο χιόνι", "el"),
        ("כלב בשלג", "he"),
        ("ein Hund im Schnee", "de"),
        ("Sonnenuntergang am Meer", "de"),
        ("rotes Auto", "de"),
        ("un chien dans la neige", "fr"),
        ("un homme à vélo", "fr"),
        ("un perro en la nieve", "es"),
        ("mujer con sombrero", "es"),
        ("due bambini sulla spiaggia", "it"),
        ("duas crianças na praia", "pt"),
        ("twee kinderen op het strand", "nl"),
        ("en hund i snön", "sv"),
        ("pies w śniegu", "pl"),
        ("karda bir köpek", "tr"),
        ("một con chó trong tuyết", "vi"),
        ("seekor anjing di salju", "id"),
        ("koira lumessa", "fi"),
    ],
)
def test_languages_are_told_apart(text: str, code: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "123",
        "😀",
        "IMG_2034",
        "dog",
        "café",
        "crème brûlée",
        "jalapeño",
        "Beyoncé",
        "naïve art",
        "a déjà vu moment",
        "la la land",
        "die hard",
        "pies",
        "a barn in a field",
        "chat room",
        "Rio de Janeiro",
        "Las Vegas",
        "São Paulo skyline",
        "a π symbol",
        "5 µm",
        "a man in a sombrero with the dog",
    ],
)
def test_what_may_be_english_is(text: str) -> None:
    assert language_of(text) == "en"


def test_names_of_classes_are_english() -> None:
    folder = model_folder("starter")
    assert folder is not None
    names = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    assert len(names) == 1000
    assert [name for name in names if language_of(name) != "en"] == []


@pytest.mark.parametrize(("table", "column", "code"), [("captions.tsv", 2, "en"), ("captions.zh.tsv", 4, "zh")])
def test_captions_are_of_their_language(table: str, column: int, code: str) -> None:
    path = DATA / "flickr8k" / table
    if not path.is_file():
        pytest.skip(f"{path} is not there; SIGHTSEEK_DATA names the folder of the data")
    rows = [line.rstrip("\n").split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    captions = [row[column] for row in rows if row[1] == "dev"][::5]
    assert len(captions) >= 1000
    assert [caption for caption in captions if language_of(caption) != code] == []


@given(st.text(max_size=40))
def test_any_text_has_a_language(text: str) -> None:
    assert language_of(text) in languages()


@given(st.text(alphabet=st.characters(max_codepoint=0x24F), max_size=30), st.sampled_from("狗山水人"))
def test_a_han_letter_among_latin_ones_decides(text: str, letter: str) -> None:
    assert language_of(text + letter) == "zh"


def test_the_table_is_consistent() -> None:
    table = languages()
    english = table["en"].words
    assert english
    for language in table.values():
        assert not language.words & language.shared, language.code
        if language.code != "en":
            assert not language.words & english, language.code
        assert all(word == word.lower() for word in language.words | language.shared), language.code


@pytest.mark.parametrize(("text", "code"), [("zh", "zh"), ("ZH", "zh"), ("zh-Hans", "zh"), ("pt_BR", "pt")])
def test_codes_are_read(text: str, code: str) -> None:
    assert parse_language(text) == code


@pytest.mark.parametrize("text", ["", "chinese", "xx", "-"])
def test_other_codes_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(OptionError, match="is not a language code; use en, zh") as refused:
        parse_language(text)
    assert "\n" not in str(refused.value)
