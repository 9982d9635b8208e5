"""Filters: what SQL selects is what a plain reading of the filter selects, and ``not`` is the exact complement."""

import functools
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import QueryError
from retrieval.store import Collection, Entry
from retrieval.store.globs import path_matches
from retrieval.store.where import compile_where
from retrieval.types import And, Item, MediaInfo, Not, Or, Term, Where


class Media(NamedTuple):
    path: str
    info: MediaInfo
    size_bytes: int
    mtime_ns: int


DAY_NS = 86_400 * 10**9
MAY_NS = int(datetime(2024, 5, 1).timestamp()) * 10**9
MEDIA = [
    Media(path, MediaInfo(kind, width, 1080, duration_s, taken_at, ""), size, mtime_ns)
    for path, kind, width, duration_s, taken_at, size, mtime_ns in [
        ("/m/Holiday/sea.jpg", "image", 1920, None, "2024-05-01T00:00:00", 10**6, 0),
        ("/m/holiday/deep/er/sea.JPG", "image", 640, None, "2024-04-30T23:59:59+02:00", 10**6 + 1, 0),
        ("/m/holiday.jpg", "image", 640, None, None, 5, MAY_NS),
        ("/m/50%_off/sea_1.png", "image", 1, None, None, 0, MAY_NS - 1),
        ("/m/50x off/sea1.png", "image", 1, None, None, 0, MAY_NS + 31 * DAY_NS),
        ("/m/film.mp4", "video", 1920, 60.0, None, 2**40, MAY_NS + 31 * DAY_NS - 1),
        ("/m/holiday/film.mkv", "video", 1280, 59.9, "2024-12-31T23:59:59", 7, 0),
        ("/m/[x]/caf\u00e9", "video", 1280, 0.0, "2025-01-01T00:00:00", 7, -DAY_NS),
    ]
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    from retrieval.config import ModelSpec, Preprocessing

    spec = ModelSpec("small", 4, "0", Preprocessing(8, 8))
    with Collection.create(tmp_path_factory.mktemp("where") / "c", spec) as made:
        source = made.add_source(Path("/m"))
        with made.transaction() as writer:
            for number, media in enumerate(MEDIA):
                entry = Entry(Path(media.path), media.size_bytes, media.mtime_ns)
                keys = writer.put(
                    source.id, entry, media.info, None, [Item()], np.eye(4, dtype=np.float32)[[number % 4]]
                )
                assert keys.tolist() == [number + 1]
        yield made


def selected(library: Collection, where: Where) -> set[str]:
    keys = library.search(np.ones((1, 4), np.float32), 20, where).keys[0]
    found = {str(row.path) for row in library.items(keys[keys >= 0])}
    assert library.count(where) == len(found)
    return found


def holds(where: Where, media: Media) -> bool:
    """Read a filter plainly."""
    match where:
        case And(clauses):
            return all(holds(clause, media) for clause in clauses)
        case Or(clauses):
            return any(holds(clause, media) for clause in clauses)
        case Not(clause):
            return not holds(clause, media)
    if where.op == "!=":
        return not holds(Term(where.field, "=", where.value), media)
    if where.field == "path":
        path = media.path
        ends = [path, *(path[place + 1 :] for place, letter in enumerate(path) if letter == "/")]
        return any(glob(str(where.value).lower(), end.lower()) for end in ends)
    value: str | float | None
    wanted: str | float = where.value
    if where.field == "date":
        local = datetime.fromtimestamp(media.mtime_ns // 10**9)
        value = (media.info.taken_at or local.isoformat())[: len(str(wanted))]
    else:
        value = {
            "kind": media.info.kind,
            "ext": os.path.splitext(media.path)[1][1:].lower(),  # noqa: PTH122
            "size": media.size_bytes,
            "duration": media.info.duration_s,
            "width": media.info.width,
            "height": media.info.height,
        }[where.field]
    if value is None:
        return False
    return {
        ":": value == wanted,
        "=": value == wanted,
        "<": value < wanted,  # type: ignore[operator]
        "<=": value <= wanted,  # type: ignore[operator]
        ">": value > wanted,  # type: ignore[operator]
        ">=": value >= wanted,  # type: ignore[operator]
    }[where.op]


def glob(pattern: str, text: str) -> bool:
    """Match by trying everything, with a memory."""

    @functools.cache
    def rest(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(text)
        if pattern.startswith("**/", i) and (i == 0 or pattern[i - 1] == "/"):
            return any(rest(i + 3, end) for end in range(j, len(text) + 1) if end == j or text[end - 1] == "/")
        if pattern.startswith("**", i):
            return any(rest(i + 2, end) for end in range(j, len(text) + 1))
        if pattern[i] == "*":
            ends = range(j, len(text) + 1)
            return any(rest(i + 1, end) for end in ends if "/" not in text[j:end])
        if j == len(text):
            return False
        return (pattern[i] == text[j] or (pattern[i] == "?" and text[j] != "/")) and rest(i + 1, j + 1)

    return rest(0, 0)


ORDER = st.sampled_from([":", "=", "!=", "<", "<=", ">", ">="])
NAME = st.sampled_from([":", "=", "!="])
GLOBS = [
    "**",
    "*",
    "holiday/**",
    "m/*",
    "*.jpg",
    "**/sea*",
    "50%_off/*",
    "50_*/*",
    "s?a.jpg",
    "/m/*",
    "m/**/*.jpg",
    "h*",
]
TERMS = st.one_of(
    st.builds(Term, st.just("kind"), NAME, st.sampled_from(["image", "video"])),
    st.builds(Term, st.just("ext"), NAME, st.sampled_from(["jpg", "mp4", "png", "mkv", ""])),
    st.builds(Term, st.just("path"), NAME, st.sampled_from(GLOBS)),
    st.builds(Term, st.just("size"), ORDER, st.sampled_from([0, 5, 7.0, 10**6, 2.0**40])),
    st.builds(Term, st.just("duration"), ORDER, st.sampled_from([0, 59.9, 60, 61.5])),
    st.builds(Term, st.sampled_from(["width", "height"]), ORDER, st.sampled_from([1, 640, 1080, 1920])),
    st.builds(
        Term,
        st.just("date"),
        ORDER,
        st.sampled_from(
            ["2024", "2024-05", "2024-04-30", "2024-05-01T00", "1970-01-01", "2024-12-31T23:59:59", "9999"]
        ),
    ),
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
@settings(max_examples=150, deadline=None)
def test_a_filter_selects_what_it_says(library, where):
    assert selected(library, where) == {media.path for media in MEDIA if holds(where, media)}
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
        Term("date", ">", "yesterday"),
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
