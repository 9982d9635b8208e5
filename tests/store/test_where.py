"""Filters: what SQL selects is what a plain reading of the filter selects, and ``not`` is the exact complement."""

import os
import random
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.config import IndexKind, ModelSpec, Preprocessing
from retrieval.errors import QueryError
from retrieval.store import Collection, Entry
from retrieval.store.globs import path_matches
from retrieval.store.where import compile_where
from retrieval.types import And, Details, Item, MediaInfo, Not, Or, Term, Where
from tests.filter_makers import NAMED, ORDER, UNORDERED, VALUES, Facts, World, glob, holds, random_where, unit_rows

DAY_NS = 86_400 * 10**9
MAY_NS = int(datetime(2024, 5, 1).timestamp()) * 10**9
TODAY = date.today()
NOW_NS = int(datetime.now().timestamp()) * 10**9
PARIS = Details("NIKON D850", 48.8577, 2.295, 4, ("Holiday", "Éte"), "A ferry at dusk")
FIJI = Details("Apple iPhone 12", -17.7, 178.1, 0, ("sea",), "一只猫在窗台上")
SAMOA = Details("", -13.8, -172.1, None, (), "The ferry's captain")
MEDIA = [
    Facts(path, MediaInfo(kind, *size, duration_s, taken_at, "", details), size_bytes, mtime_ns)
    for path, kind, size, duration_s, taken_at, size_bytes, mtime_ns, details in [
        ("/m/Holiday/sea.jpg", "image", (1920, 1080), None, "2024-05-01T00:00:00", 10**6, 0, PARIS),
        ("/m/holiday/deep/er/sea.JPG", "image", (640, 1080), None, "2024-04-30T23:59:59+02:00", 10**6 + 1, 0, FIJI),
        ("/m/holiday.jpg", "image", (640, 640), None, None, 5, MAY_NS, SAMOA),
        ("/m/50%_off/sea_1.png", "image", (1, 1080), None, None, 0, MAY_NS - 1, Details()),
        ("/m/50x off/sea1.png", "image", (4000, 3000), None, None, 0, MAY_NS + 31 * DAY_NS, Details(rating=5)),
        ("/m/film.mp4", "video", (1920, 1080), 60.0, None, 2**40, MAY_NS + 31 * DAY_NS - 1, Details(told="*")),
        ("/m/holiday/film.mkv", "video", (1280, 720), 59.9, "2024-12-31T23:59:59", 7, 0, Details("x", 0.0, -180.0)),
        ("/m/[x]/caf\u00e9", "video", (0, 0), 0.0, "2025-01-01T00:00:00", 7, -DAY_NS, Details()),
        ("/m/IMG_0010.jpg", "image", (3, 4), None, None, 7, NOW_NS, Details()),
        ("/m/new.jpg", "image", (4, 3), None, datetime.now().isoformat(timespec="seconds"), 7, NOW_NS, Details()),
    ]
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    spec = ModelSpec("small", 4, "0", Preprocessing(8, 8))
    world = World(0, 4, 0, TODAY)
    world.files = MEDIA
    world.vectors = np.eye(4, dtype=np.float32)[np.arange(len(MEDIA)) % 4]
    with Collection.create(tmp_path_factory.mktemp("where") / "c", spec) as made:
        world.write(made)
        yield made


def selected(library: Collection, where: Where) -> set[str]:
    keys = library.search(np.ones((1, 4), np.float32), 20, where).keys[0]
    found = {str(row.path) for row in library.items(keys[keys >= 0])}
    assert library.count(where) == len(found)
    return found


TERMS = st.one_of(
    st.builds(Term, st.just(field), st.sampled_from(NAMED if field in UNORDERED else ORDER), st.sampled_from(values))
    for field, values in VALUES.items()
)
FILTERS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(where=FILTERS)
@settings(max_examples=400, deadline=None)
def test_a_filter_selects_what_it_says(library, where):
    assert selected(library, where) == {media.path for media in MEDIA if holds(where, media, TODAY)}
    assert library.count(where) + library.count(Not(where)) == len(MEDIA)


@given(
    pattern=st.text("ab/*?", min_size=1, max_size=9).filter(lambda text: "***" not in text),
    path=st.text("ab/", max_size=9).map(lambda text: "/" + text),
)
@settings(max_examples=300, deadline=None)
def test_globs_match_as_they_should(pattern, path):
    ends = (
        [path] if pattern.startswith("/") else [path[place + 1 :] for place in range(len(path)) if path[place] == "/"]
    )
    ends += [] if pattern.startswith("/") else [path]
    assert path_matches(pattern, path) == any(glob(pattern, end) for end in ends)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("caf\u00e9", True),
        ("cafe\u0301", True),
        ("CAF\u00e9", True),
        ("CAF\u00c9", False),
        ("[[]x[]]/*", True),
        ("[!a-c]x?/*", True),
        ("[a-c]x?/*", False),
        ("/m/**", True),
        ("/**/caf?", True),
        ("x]/*", False),
        (".*", False),
    ],
)
def test_patterns_by_hand(pattern, matches):
    assert path_matches(pattern, "/m/[x]/caf\u00e9") is matches


@pytest.mark.parametrize("pattern", ["*a" * 25 + "*b", "**a" * 25 + "**b", "**/a*" * 12 + "b", "?*" * 30 + "/b"])
@pytest.mark.timeout(60)  # the naive way takes longer than anyone lives
def test_no_pattern_takes_for_ever(pattern):
    assert not path_matches(pattern, "/m/" + "a" * 120 + "/aa" * 10)


@pytest.mark.parametrize(
    "term",
    [
        Term("colour", ":", "red"),
        Term("path", ">", "a"),
        Term("kind", "<", "video"),
        Term("size", ">", "much"),
        Term("date", ">", "2024-13"),
        Term("date", ">", "2024-1"),
        Term("date", ">", "tomorrow"),
        Term("date", ":", "2024-05..2023"),
        Term("near", ":", "48,2"),
        Term("near", "<", "48,2,5km"),
        Term("box", ":", "3,2,1,1"),
        Term("orientation", ":", "upside down"),
        Term("camera", ">", "nikon"),
        Term("rating", ">", "many"),
        Term("path", ":", "[z-a]"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(library, term):
    with pytest.raises(QueryError) as caught:
        library.count(term)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("term", "count"),
    [
        (Term("path", ":", "f\udcfcr/**"), 1),
        (Term("path", ":", "/m/f\ud800r/**"), 1),
        (Term("path", ":", "f?r/**"), 1),
        (Term("path", ":", "f\udcfdr/x.*"), 1),
        (Term("path", ":", "f\udcfcx"), 0),
        (Term("ext", ":", "\udce2\udc82"), 1),
        (Term("ext", "!=", "\udce2\udc82"), 0),
        (Term("kind", ":", "\udcff"), 0),
    ],
)
def test_names_that_are_no_text(collection, make, term, count):
    """What stands in the catalog for such bytes is what a filter that holds them is compared with."""
    source = collection.add_source(Path("/m"))
    path = Path(os.fsdecode(b"/m/f\xfcr/x.\xe2\x82"))
    with collection.transaction() as writer:
        writer.put(source.id, Entry(path, 1, 1), make.picture, None, [Item()], make.unit(1))
    assert collection.count(term) == count


def test_a_long_filter_is_no_trouble(library):
    names = tuple(Term("ext", "=", f"x{number}") for number in range(2000))
    assert library.count(Or((*names, Term("ext", "=", "mp4")))) == 1
    with pytest.raises(QueryError, match="too long"):
        compile_where(Or(names * 3))


@pytest.mark.parametrize("field", VALUES)
def test_each_value_of_each_field(library, field):
    """What the random filters below are made of, one by one: none is always true or always false for nothing."""
    for value in VALUES[field]:
        for op in NAMED if field in UNORDERED else ORDER:
            term = Term(field, op, value)
            assert selected(library, term) == {one.path for one in MEDIA if holds(term, one, TODAY)}, term


# Four hundred here; all ten thousand: python -m benchmarks.filters
@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Collection]]:
    world = World(400, 16, 5, TODAY)
    spec = ModelSpec("small", 16, "0", Preprocessing(8, 8))
    with Collection.create(tmp_path_factory.mktemp("invented") / "c", spec) as collection:
        world.write(collection)
        yield world, collection


@pytest.mark.parametrize("kind", get_args(IndexKind))
def test_the_best_of_what_a_filter_selects(invented, kind):
    world, collection = invented
    collection.fit_index(kind)
    assert collection.manifest.index.kind == kind
    rng = random.Random(6)
    found_right = found_due = 0
    for query in unit_rows(np.random.default_rng(8), 100, 16):
        where = random_where(rng)
        best, allowed = world.best(query, where, 10)
        keys = collection.search(query[None], 10, where).keys[0]
        found = set(keys[keys >= 0].tolist())
        assert len(found) == len(best) == min(10, collection.count(where)), where
        found_right += len(found & allowed)
        found_due += len(best)
    assert found_right >= (1.0 if kind == "flat" else 0.98) * found_due
