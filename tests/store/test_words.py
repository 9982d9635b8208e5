"""Finding files by words: what is indexed, what matches, and that the index follows the files."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.filters import parse_where
from retrieval.store.lexical import match_of, terms_of, words_of
from retrieval.types import Details, Item

FILES = {
    "/media/holiday/Red Car.jpg": "",
    "/media/holiday/2019/IMG_1234.jpg": "a dog jumping over waves",
    "/media/holiday/dogs.jpg": "",
    "/media/BeachHouse2019.jpg": "Café at dusk",
    "/media/中文/红色汽车.jpg": "",
    "/media/中文/汽车红.jpg": "大海边的小狗",
    "/media/かな/赤い車.jpg": "",
    "/media/the and of.jpg": "",
}


@pytest.fixture
def put(collection, make):
    def put(path: str, told: str = "", keywords: tuple[str, ...] = (), root: str = "/media") -> int:
        source = collection.add_source(Path(root))
        info = make.picture._replace(details=Details(told=told, keywords=keywords))
        with collection.transaction() as writer:
            writer.put(source.id, make.entry(path), info, path.encode()[:20].ljust(20), [Item()], make.unit(1))
        return collection.find_file(Path(path)).id

    return put


@pytest.fixture
def names(collection):
    def names(*wanted: str, without: tuple[str, ...] = (), **more) -> list[str]:
        found = collection.find_words(wanted, without, **more)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        paths = {record.id: record.path for record in collection.records()}
        return [paths[one.file_id].stem for one in found]

    return names


@pytest.fixture
def library(put):
    for path, told in FILES.items():
        put(path, told)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("red", {"Red Car"}),
        ("CARS", {"Red Car"}),
        ("a dog", {"dogs", "IMG_1234"}),
        ("jumps", {"IMG_1234"}),
        ("img", {"IMG_1234"}),
        ("1234", {"IMG_1234"}),
        ("beach", {"BeachHouse2019"}),
        ("beachhouse2019", {"BeachHouse2019"}),
        ("cafe", {"BeachHouse2019"}),
        ("2019", {"BeachHouse2019", "IMG_1234"}),
        ("holiday", {"Red Car", "IMG_1234", "dogs"}),
        ("jpg", set()),
        ("红色", {"红色汽车"}),
        ("汽车", {"红色汽车", "汽车红"}),
        ("红", {"红色汽车", "汽车红"}),
        ("小狗", {"汽车红"}),
        ("汽车 dog", {"红色汽车", "汽车红", "dogs", "IMG_1234"}),
        ("中文", {"红色汽车", "汽车红"}),
        ("赤い", {"赤い車"}),
        ("the dog of a", {"dogs", "IMG_1234"}),
        ("the of", {"the and of"}),
        ("nothing of this kind", set()),
        ('"*', set()),
        ("", set()),
    ],
)
def test_words_find_files(library, names, text, found):
    assert set(names(text)) == found


def test_what_says_more_comes_first(library, names):
    assert names("dog holiday")[:2] in (["dogs", "IMG_1234"], ["IMG_1234", "dogs"])
    assert names("dog jumping over waves")[0] == "IMG_1234"
    assert names("红色汽车")[0] == "红色汽车"
    assert names("a red car", "holiday")[0] == "Red Car"


def test_what_is_unwanted_is_left_out(library, names):
    assert names("dog", without=("waves",)) == ["dogs"]
    assert set(names("holiday", without=("car", "jumping dog"))) == {"IMG_1234", "dogs"}
    assert names("holiday", without=("dog jumping", "red")) == ["dogs"]
    assert names("汽车", without=("红色",)) == ["汽车红"]
    assert set(names("dog", without=('"', ""))) == {"dogs", "IMG_1234"}


def test_filters_hold_and_gone_files_are_passed_over(collection, library, names):
    assert names("holiday", where=parse_where("path:2019/**")) == ["IMG_1234"]
    assert names("holiday", where=parse_where("kind:video")) == []
    assert len(names("holiday", most=2)) == 2
    gone = collection.find_file(Path("/media/holiday/dogs.jpg")).id
    with collection.transaction() as writer:
        writer.set_gone([gone])
    assert names("dog") == ["IMG_1234"]
    with collection.transaction() as writer:
        writer.set_gone([gone], gone=False)
    assert set(names("dog")) == {"dogs", "IMG_1234"}


def test_the_root_counts_and_what_is_above_it_does_not(put, names):
    put("/home/someone/pictures/a.jpg", root="/home/someone/pictures")
    put("/x.jpg", root="/")
    assert names("pictures") == ["a"]
    assert names("someone") == []
    assert names("x") == ["x"]


def test_keywords_are_words(put, names):
    put("/media/a.jpg", keywords=("sun set", "夜景"))
    assert names("sunset") == []
    assert names("sun") == names("夜景") == ["a"]


def test_the_index_follows_the_files(collection, make, put, names):
    file_id = put("/media/a dog.jpg", "by the sea")
    with collection.transaction() as writer:
        record = collection.find_file(Path("/media/a dog.jpg"))
        writer.copy(file_id, record.source_id, make.entry("/media/copies/b.jpg"))
    assert names("sea") == ["a dog", "b"]
    assert names("copies") == ["b"]
    with collection.transaction() as writer:
        writer.move(file_id, record.source_id, make.entry("/media/cats/c.jpg"))
    assert names("dog") == []
    assert names("cats") == ["c"]
    with collection.transaction() as writer:
        writer.describe(file_id, make.picture._replace(details=Details(told="on a hill")), [])
    assert names("sea") == ["b"]
    assert names("hill") == ["c"]
    put("/media/cats/c.jpg", "anew")
    assert names("hill") == []
    assert names("anew") == ["c"]
    collection.forget(Path("/media/cats"))
    assert names("cats") == names("anew") == []
    rows = collection._reader.rows
    assert rows("SELECT count(*) FROM words") == rows("SELECT count(*) FROM files")


def test_a_file_that_can_no_longer_be_read_is_not_found(collection, make, put, names):
    put("/media/a dog.jpg")
    with collection.transaction() as writer:
        writer.put_failed(1, make.entry("/media/a dog.jpg"), "damaged")
    assert names("dog") == []


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.one_of(st.sampled_from("\"*^:(){}+- \0'汽车aNDORT"), st.characters(codec=None))), max_size=3),
    st.lists(st.text(st.one_of(st.sampled_from("\"*^:(){}+- \0'汽车aNDORT"), st.characters(codec=None))), max_size=2),
)
def test_no_text_is_a_wrong_expression(collection, wanted, unwanted):
    assert collection.find_words(wanted, unwanted) == []


@given(st.text(st.characters(codec="utf-8"), max_size=30), st.text(st.characters(codec="utf-8"), max_size=30))
def test_words_are_told_of_any_path(name, told):
    words = words_of(f"/media/{name}.jpg", "/media", told, [])
    assert all(isinstance(one, str) for one in words)


def test_very_long_texts_are_cut(collection, put, names):
    put("/media/word7.jpg")
    assert names(" ".join(f"word{number}" for number in range(5000))) == ["word7"]
    assert terms_of(["word " * 5000]) == ['"word"']
    assert match_of(terms_of(["the dog"]), ["a cat"]) == '("dog") NOT ("a cat")'
