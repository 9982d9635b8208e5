"""The grammar of queries and filters: what is read, what is refused, and that printing and reading are inverse."""

import math
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retrieval.errors import QueryError
from retrieval.filters import FIELDS
from retrieval.filters.periods import bounds, canonical_period
from retrieval.filters.places import distance_m, format_box, format_near, read_box, read_near
from retrieval.query import format_item, format_where, parse_query, parse_where, quote_part, split_item
from retrieval.types import And, Not, Or, Part, Query, Term, Where

# Names and words as nasty as they come: quotes, backslashes, colons, signs, white space of all kinds, lone surrogates.
ANY_TEXT = st.text(
    st.one_of(st.sampled_from('"\\:+-() \n\tawhere:(1.5#'), st.characters(codec=None)), min_size=1, max_size=12
)
VALUES = st.one_of(
    ANY_TEXT, st.sampled_from(['a "b" c', "1.5:x", "a + b", "- a", "where:(x)", "a where:(kind:video)", "\\"])
)
WEIGHTS = st.floats(allow_nan=False, allow_infinity=False).filter(bool)
PARTS = st.builds(Part, st.sampled_from(["text", "image", "clip", "item", "vector"]), VALUES.filter(str.strip), WEIGHTS)


def periods() -> st.SearchStrategy[str]:
    day = st.dates().map(str)
    absolute = (
        day | day.map(lambda text: text[:7]) | day.map(lambda text: text[:4]) | day.map(lambda text: text + "T09:41")
    )
    ago = st.builds("-{}{}".format, st.integers(0, 999_999), st.sampled_from("dwmy"))
    point = absolute | ago | st.sampled_from(["today", "yesterday"])
    last = st.builds("last-{} {}".format, st.integers(0, 999_999), st.sampled_from(["day", "weeks", "MONTHS", "year"]))
    ranges = st.builds("{}..{}".format, point | st.just(""), point | st.just(""))
    return st.one_of(point, last, ranges, st.sampled_from(["this week", "this-year"])).filter(canonical_period)


DEGREES = st.floats(-90, 90)
PLACES = st.builds(
    "{:.9f},{:.9f},{:.4f}{}".format,
    DEGREES,
    DEGREES.map(lambda x: 2 * x),
    st.floats(0.01, 9000),
    st.sampled_from(["m", "km", "mi"]),
)
BOXES = st.tuples(DEGREES, DEGREES, DEGREES, DEGREES).map(
    lambda four: f"{min(four[:2]):.9f},{2 * four[2]:.9f},{max(four[:2]):.9f},{2 * four[3]:.9f}"
)


def terms() -> st.SearchStrategy[Where]:
    numbers = st.floats(0, 1e300, allow_nan=False) | st.integers(0, 10**13).map(float)
    ordered = st.sampled_from([":", "=", "!=", "<", "<=", ">", ">="])
    named = st.sampled_from([":", "=", "!="])
    shapes = st.sampled_from(["landscape", "portrait", "square"])
    return st.one_of(
        st.builds(Term, st.just("kind"), named, st.sampled_from(["image", "video"])),
        st.builds(Term, st.just("path"), named, ANY_TEXT),
        st.builds(Term, st.just("name"), named, ANY_TEXT.filter(lambda text: "/" not in text)),
        st.builds(Term, st.sampled_from(["camera", "keyword"]), named, ANY_TEXT.filter(str.strip)),
        st.builds(Term, st.just("told"), named, ANY_TEXT.map(lambda text: text + "a")),
        st.builds(Term, st.just("ext"), named, ANY_TEXT.map(str.lower).filter(lambda text: not text.startswith("."))),
        st.builds(Term, st.just("orientation"), named, shapes),
        st.builds(Term, st.sampled_from(["date", "taken", "modified"]), ordered, periods().map(canonical_period)),
        st.builds(Term, st.just("near"), named, PLACES.map(lambda text: format_near(read_near(text)))),
        st.builds(Term, st.just("box"), named, BOXES.map(lambda text: format_box(read_box(text)))),
        st.builds(Term, st.just("rating"), ordered, st.floats(0, 5)),
        st.builds(
            Term,
            st.sampled_from(["size", "duration", "width", "height", "megapixels", "aspect"]),
            ordered,
            numbers,
        ),
    )


@given(periods(), st.dates())
def test_a_period_ends_after_it_begins_and_is_kept_as_it_is_printed(period, today):
    kept = canonical_period(period)
    assert canonical_period(kept) == kept
    if ".." not in kept:
        start, end = bounds(kept, today)
        assert start < end or start.date() == date.max


@given(DEGREES, DEGREES.map(lambda x: 2 * x), DEGREES, DEGREES.map(lambda x: 2 * x))
def test_distances_are_the_same_both_ways_and_at_most_half_the_way_round(one, along, other, further):
    there = distance_m(one, along, other, further)
    assert 0 <= there <= 20_015_200
    assert there == pytest.approx(distance_m(other, further, one, along), abs=0.01)
    assert there >= 111_100 * abs(one - other) - 1


def test_a_known_distance():
    assert distance_m(48.8566, 2.3522, 51.5074, -0.1278) == pytest.approx(343_600, rel=0.005)  # Paris to London
    assert distance_m(0, 179.9, 0, -179.9) == pytest.approx(22_239, rel=0.001)


def wheres() -> st.SearchStrategy[Where]:
    return st.recursive(
        terms(),
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, min_size=2, max_size=3).map(lambda clauses: And(tuple(clauses))),
            st.lists(inner, min_size=2, max_size=3).map(lambda clauses: Or(tuple(clauses))),
        ),
        max_leaves=6,
    )


QUERIES = st.builds(
    Query,
    st.lists(PARTS, min_size=1, max_size=4).map(tuple).filter(lambda parts: any(part.weight > 0 for part in parts)),
    st.none() | wheres(),
)


@given(QUERIES)
@example(Query((Part("text", "a dog"), Part("item", "/a b.mp4#t=1.5", -0.25)), Term("kind", ":", "video")))
@example(Query((Part("text", "x where:(kind:video)"),), Term("path", ":", 'a)"b')))
def test_a_printed_query_reads_as_itself(query):
    assert parse_query(str(query)) == query


@given(wheres())
def test_a_printed_filter_reads_as_itself(where):
    assert parse_where(format_where(where)) == where


def outcome(parse, text):
    try:
        return parse(text), ""
    except QueryError as error:
        return None, str(error)


@given(st.text(st.sampled_from('"\\:+- (\n)ab1.where'), max_size=20))
def test_any_text_is_read_or_refused_in_one_line(text):
    query, error = outcome(parse_query, text)
    assert len(error.splitlines()) == 1 if query is None else parse_query(str(query)) == query


@given(st.text(st.sampled_from('kindorat (:"\\)<>=!5-0.MBs*/\n'), max_size=24))
def test_any_filter_is_read_or_refused_in_one_line(text):
    where, error = outcome(parse_where, text)
    if where is None:
        assert len(error.splitlines()) == (1 if text.strip() else 0)
    else:
        assert parse_where(format_where(where)) == where


@given(ANY_TEXT.filter(str.strip), st.none() | st.floats(0, 1e6))
def test_an_item_splits_as_it_was_named(path, at_s):
    named = format_item(path, at_s)
    if at_s is None:
        assert named == path
    else:
        assert split_item(named) == (path, pytest.approx(at_s, abs=5e-4))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a dog in the snow", [("a dog in the snow", 1)]),
        ("  a dog ", [("a dog", 1)]),
        ('"a dog" + "snow" - "people"', [("a dog", 1), ("snow", 1), ("people", -0.5)]),
        ('"a dog" + snow - some people', [("a dog", 1), ("snow", 1), ("some people", -0.5)]),
        ("1.5:dog - people", [("dog", 1.5), ("people", -0.5)]),
        ('dog - 0.5:"two people"', [("dog", 1), ("two people", -0.5)]),
        ('- "people" + dog', [("people", -0.5), ("dog", 1)]),
        ("-2:people + dog", [("people", -2), ("dog", 1)]),
        ("wi-fi and c++ - 2019", [("wi-fi and c++ - 2019", 1)]),
        ("dog + snow", [("dog + snow", 1)]),
        ("+5 or -3", [("+5 or -3", 1)]),
        ("1.5:words", [("words", 1.5)]),
        (r"1.5\:words", [("1.5:words", 1)]),
        ("1.5: words", [("1.5: words", 1)]),
        ("note: words", [("note: words", 1)]),
        ('"1.5:words"', [("1.5:words", 1)]),
        ('2:"1.5:words"', [("1.5:words", 2)]),
        ('the word "stop" on a sign', [('the word "stop" on a sign', 1)]),
        (r"\"stop\" on a sign", [('"stop" on a sign', 1)]),
        (r'"a \"quoted\" \\ word\n"', [('a "quoted" \\ word\\n', 1)]),
        (r'"dog" \+ "snow"'.replace('"', ""), [("dog + snow", 1)]),
        ("雪の中の犬", [("雪の中の犬", 1)]),
    ],
)
def test_words_and_weights(text, parts):
    assert parse_query(text).parts == tuple(Part("text", value, float(weight)) for value, weight in parts)


def test_plain_words_print_plain():
    assert str(parse_query("a dog, wi-fi - 5")) == "a dog, wi-fi - 5"
    assert str(parse_query("1.5:dog + snow - people")) == '1.5:"dog" + "snow" - "people"'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "0:dog",
        "-0.0:dog",
        "nan:dog",
        "inf:dog",
        "1e999:dog",
        '"dog" - ""',
        '"dog',
        '"dog" snow',
        '"dog" +',
        '"dog" + + "snow"',
        '- "dog"',
        "1.5:dog 0.5:snow",
        "dog where:(kind:video",
        "where:(kind:video)",
        "dog where:(x)",
    ],
)
def test_what_cannot_be_understood_says_what_to_do(text):
    with pytest.raises(QueryError, match=r"give|expected|write|end it with|add one"):
        parse_query(text)


def test_an_error_names_the_position():
    with pytest.raises(QueryError, match=r"position 7: expected . or - between parts, found 'snow'"):
        parse_query('"dog" snow')


def test_like_takes_a_file_when_there_is_one(tmp_path: Path):
    photo = tmp_path / "a photo.jpg"
    photo.touch()
    assert parse_query("", like=[str(photo)]).parts == (Part("image", str(photo), 1.0),)
    assert parse_query("", like=[f"0.5:{photo}"]).parts == (Part("image", str(photo), 0.5),)
    assert parse_query("", like=[f"{photo}#t=12.5"]).parts == (Part("item", f"{photo}#t=12.5", 1.0),)
    assert parse_query("", like=["gone.mp4#t=12.5"]).parts == (Part("item", "gone.mp4#t=12.5", 1.0),)
    assert parse_query("", like=[str(tmp_path)]).parts == (Part("item", str(tmp_path), 1.0),)


def test_a_file_whose_name_looks_like_a_weight_is_that_file(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("0.5:photo.jpg").touch()
    Path("photo.jpg").touch()
    assert parse_query("", like=["0.5:photo.jpg"]).parts == (Part("image", "0.5:photo.jpg", 1.0),)
    assert parse_query("", like=["2:photo.jpg"]).parts == (Part("image", "photo.jpg", 2.0),)


def test_minus_takes_a_file_else_words(tmp_path: Path):
    photo = tmp_path / "photo.jpg"
    photo.touch()
    minus = [str(photo), f"0.75:{photo}", "people", "1:two people", '"a + b"', r"1.5\:x", f"{photo}#t=2"]
    assert parse_query("dog", minus=minus).parts[1:] == (
        Part("image", str(photo), -0.5),
        Part("image", str(photo), -0.75),
        Part("text", "people", -0.5),
        Part("text", "two people", -1.0),
        Part("text", "a + b", -0.5),
        Part("text", "1.5:x", -0.5),
        Part("item", f"{photo}#t=2", -0.5),
    )


@pytest.mark.parametrize("like", ["", "0:photo.jpg", "nan:photo.jpg"])
def test_like_of_no_use_is_refused(like):
    with pytest.raises(QueryError):
        parse_query("", like=[like])


def test_odd_file_names_are_no_trouble():
    assert parse_query("", like=["a\0b"]).parts == (Part("item", "a\0b", 1.0),)
    assert parse_query("dog", minus=["x" * 5000]).parts[1].kind == "text"


def test_only_what_to_leave_out_is_no_query():
    with pytest.raises(QueryError, match="not only what to leave out"):
        parse_query("", minus=["people"])


def test_filters_of_text_and_option_are_joined():
    query = parse_query("dog where:(kind:video)", where="width>=1920")
    assert query.where == And((Term("kind", ":", "video"), Term("width", ">=", 1920.0)))
    assert parse_query("dog", where="  ").where is None


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("a dog", '"a dog"'),
        ("1.5:a dog", "1.5:a dog"),
        ('"a" + b', '"a" + b'),
        (r"1.5\:x", '"1.5:x"'),
        ('a "b', '"a \\"b"'),
        ("snow where:(kind:video)", '"snow" where:(kind:video)'),
    ],
)
def test_words_that_lost_their_quotes_get_them_back(words, part):
    assert quote_part(words) == part


# ------------------------------------------------------------------------------------------------------- filters


def test_a_filter_of_all_fields():
    where = parse_where(
        "kind:video path:holiday/** ext:.JPG name:IMG_* date>2024-05 taken:today modified<-7d size>1MB duration<60 "
        "width>=1920 height!=10 megapixels>12MP aspect>=16:9 orientation:Portrait camera:nikon near:48.86,2.35,5km "
        'box:48.8,2.2,48.9,2.5 rating>=4 keyword:holiday told:"at dusk"'
    )
    assert where == And(
        (
            Term("kind", ":", "video"),
            Term("path", ":", "holiday/**"),
            Term("ext", ":", "jpg"),
            Term("name", ":", "IMG_*"),
            Term("date", ">", "2024-05"),
            Term("taken", ":", "today"),
            Term("modified", "<", "-7d"),
            Term("size", ">", 1e6),
            Term("duration", "<", 60.0),
            Term("width", ">=", 1920.0),
            Term("height", "!=", 10.0),
            Term("megapixels", ">", 12.0),
            Term("aspect", ">=", 16 / 9),
            Term("orientation", ":", "portrait"),
            Term("camera", ":", "nikon"),
            Term("near", ":", "48.86,2.35,5km"),
            Term("box", ":", "48.8,2.2,48.9,2.5"),
            Term("rating", ">=", 4.0),
            Term("keyword", ":", "holiday"),
            Term("told", ":", "at dusk"),
        )
    )
    assert [clause.field for clause in where.clauses] == list(FIELDS)
    assert where.clauses[2].text == ".JPG"


def test_precedence_is_not_then_and_then_or():
    a, b, c = (Term("width", "=", float(n)) for n in (1, 2, 3))
    assert parse_where("width=1 or width=2 width=3") == Or((a, And((b, c))))
    assert parse_where("NOT width=1 AND width=2 Or width=3") == Or((And((Not(a), b)), c))
    assert parse_where("not (width=1 or width=2) width==3") == And((Not(Or((a, b))), c))
    assert parse_where("not not width=1") == Not(Not(a))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1B", 1),
        ("1.5KB", 1500),
        ("2mb", 2e6),
        ("1GB", 1e9),
        ("1KiB", 1024),
        ("1.5MiB", 1572864),
        ("1e3", 1e3),
    ],
)
def test_sizes(text, size):
    assert parse_where(f"size>={text}") == Term("size", ">=", float(size))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60),
        ("90s", 90),
        ("2m", 120),
        ("1h", 3600),
        ("1:30", 90),
        ("00:01:30", 90),
        ("1:02:03.5", 3723.5),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5m", 90),
        ("100:00", 6000),
    ],
)
def test_durations(text, seconds):
    assert parse_where(f"duration < {text}") == Term("duration", "<", float(seconds))


@pytest.mark.parametrize("text", ["2024", "2024-05", "2024-05-31", "2024-05-31T23:59", "2024-02-29T00:00:59"])
def test_dates(text):
    assert parse_where(f"date<={text}") == Term("date", "<=", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Today", "today"),
        ("YESTERDAY", "yesterday"),
        ("-030D", "-30d"),
        ('"last 30 days"', "last-30-days"),
        ("last_1_Days", "last-1-day"),
        ("last30days", "last-30-days"),
        ("last-week", "last-1-week"),
        ('"this month"', "this-month"),
        ('" 2024-05 .. 2024-07 "', "2024-05..2024-07"),
        ("2024..2024", "2024..2024"),
        ("..today", "..today"),
        ("-1y..", "-1y.."),
        ("2030..today", "2030..today"),
    ],
)
def test_periods(text, value):
    assert parse_where(f"taken:{text}") == Term("taken", ":", value)
    assert parse_where(format_where(Term("taken", ":", value))) == Term("taken", ":", value)


TODAY = date(2024, 3, 31)


@pytest.mark.parametrize(
    ("period", "begins", "ends"),
    [
        ("today", "2024-03-31", "2024-04-01"),
        ("yesterday", "2024-03-30", "2024-03-31"),
        ("-0d", "2024-03-31", "2024-04-01"),
        ("-31d", "2024-02-29", "2024-03-01"),
        ("-1w", "2024-03-24", "2024-03-25"),
        ("-1m", "2024-02-29", "2024-03-01"),
        ("-1y", "2023-03-31", "2023-04-01"),
        ("-13m", "2023-02-28", "2023-03-01"),
        ("last-30-days", "2024-03-01", "2024-04-01"),
        ("last-1-month", "2024-02-29", "2024-04-01"),
        ("last-0-days", "2024-03-31", "2024-04-01"),
        ("last-999999-years", "0001-01-01", "2024-04-01"),
        ("this-week", "2024-03-25", "2024-04-01"),
        ("this-month", "2024-03-01", "2024-04-01"),
        ("this-year", "2024-01-01", "2025-01-01"),
        ("2023-12..2024-02", "2023-12-01", "2024-03-01"),
        ("2024-05-31T12", "2024-05-31T12:00:00", "2024-05-31T13:00:00"),
        ("2023-12-31T23:59:59", "2023-12-31T23:59:59", "2024-01-01"),
        ("-7d..yesterday", "2024-03-24", "2024-03-31"),
        ("..2023", "0001-01-01", "2024-01-01"),
        ("2023..", "2023-01-01", "9999-12-31T23:59:59.999999"),
        ("9999-12-31", "9999-12-31", "9999-12-31T23:59:59.999999"),
    ],
)
def test_what_periods_mean(period, begins, ends):
    assert bounds(period, TODAY) == (datetime.fromisoformat(begins), datetime.fromisoformat(ends))


@pytest.mark.parametrize("day", [date.min, date.max])
def test_periods_at_the_ends_of_time(day):
    for period in ("today", "yesterday", "last-3-days", "this-week", "this-year", "-1m", "-5w.."):
        start, end = bounds(period, day)
        assert start <= end, period


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"48.860, 2.35, 5 KM"', "48.86,2.35,5km"),
        ("-33.8568,151.2153,750m", "-33.8568,151.2153,750m"),
        ("0,0,1mi", "0,0,1.609344km"),
        ("-0,+2.,0.5km", "0,2,500m"),
        ("1.123456789,2,1m", "1.1234568,2,1m"),
    ],
)
def test_near(text, value):
    assert parse_where(f"near:{text}") == Term("near", ":", value)


def test_box():
    assert parse_where('box:"48.8, 2.2, 48.9, 2.50"') == Term("box", ":", "48.8,2.2,48.9,2.5")
    assert parse_where("box=-10,170,10,-170") == Term("box", "=", "-10,170,10,-170")


@pytest.mark.parametrize(
    ("text", "ratio"), [("1.5", 1.5), ("3:2", 1.5), ("3/2", 1.5), ("1920x1080", 16 / 9), (".5", 0.5)]
)
def test_aspects(text, ratio):
    assert parse_where(f"aspect<{text}") == Term("aspect", "<", ratio)


def test_values_may_be_quoted():
    assert parse_where(r'path:"my photos (1)/\"x\" \\ *"') == Term("path", ":", 'my photos (1)/"x" \\ *')
    assert parse_where("path:and or ext:or") == Or((Term("path", ":", "and"), Term("ext", ":", "or")))


@pytest.mark.parametrize(
    ("text", "position", "wanted"),
    [
        ("holiday", 1, "a comparison"),
        ("kind:video holiday", 12, "a comparison"),
        ("kind:", 6, "a value"),
        ("kind>video", 5, "after kind"),
        ("kind:movie", 6, "image or video"),
        ("(kind:video", 12, "closing bracket"),
        ("kind:video)", 11, "the end"),
        ("size>1XB", 6, "a size"),
        ("size>-1", 6, "a size"),
        ("size>1e999", 6, "a size"),
        ("width>wide", 7, "pixels"),
        ("date>2024-13", 6, "a date as 2024"),
        ("date>2023-02-29", 6, "a date as 2024"),
        ("date>05/2024", 6, "a date as 2024"),
        ("date:2024..2023", 6, "a date as 2024"),
        ("date:..", 6, "a date as 2024"),
        ("date:2024..never", 6, "a date as 2024"),
        ("taken:tomorrow", 7, "last-30-days"),
        ("modified:last-x-days", 10, "last-30-days"),
        ("orientation:up", 13, "portrait"),
        ("orientation>portrait", 12, ": = or != after orientation"),
        ("megapixels>many", 12, "millions"),
        ("aspect:16:0", 8, "16:9"),
        ("camera>a", 7, "after camera"),
        ('camera:" "', 8, "words"),
        ("near:48.86,2.35", 6, "a distance"),
        ("near:91,2.35,5km", 6, "a distance"),
        ("near:48,2,0km", 6, "a distance"),
        ("near:48,2,50000km", 6, "a distance"),
        ("box:1,2,3", 5, "south,west,north,east"),
        ("box:3,2,1,4", 5, "south,west,north,east"),
        ("rating>6", 8, "stars from 0 to 5"),
        ("rating:good", 8, "stars from 0 to 5"),
        ('keyword:""', 9, "a keyword"),
        ('told:"..."', 6, "words"),
        ("name:a/b.jpg", 6, "without folders"),
        ("orientatoin:portrait", 1, "for example orientation:portrait"),
        ("duration<1:75", 10, "a duration"),
        ("duration<", 10, "a value"),
        ("duration:h", 10, "a duration"),
        ('path:"abc', 6, "a value"),
        ('path:""', 6, "a path"),
        ("kind:video or", 14, "a comparison"),
        ("kind:video and or kind:image", 16, "a comparison"),
        ("not", 4, "a comparison"),
        ("colour:red", 1, "kind, path, ext"),
        ("(" * 100 + "kind:video", 61, "at most"),
    ],
)
def test_errors_say_where_and_what(text, position, wanted):
    with pytest.raises(QueryError) as caught:
        parse_where(text)
    message = str(caught.value)
    assert f"position {position}: expected" in message
    assert wanted in message
    assert "for example " in message
    example_given = message.rpartition("for example ")[2]
    assert parse_where(example_given) is not None


def test_canonical_sizes_stay_exact():
    assert format_where(Term("size", ">", 1.5e6)) == "size>1.5MB"
    assert format_where(Term("size", ">", 1234567.0)) == "size>1234567"
    assert format_where(Term("duration", "<", 0.5)) == "duration<0.5"
    assert math.isclose(parse_where(format_where(Term("size", ":", 1e-7))).value, 1e-7, rel_tol=0)


@pytest.mark.parametrize("words", ["caf\udce9", "\ud800"])
def test_words_that_are_no_text_are_refused(words):
    for wrong in ({"text": words}, {"text": f'"dog" + "{words}"'}, {"text": "dog", "minus": [words]}):
        with pytest.raises(QueryError, match="UTF-8") as caught:
            parse_query(**wrong)
        str(caught.value).encode()
    assert parse_query("", like=["caf\udce9.jpg"]).parts[0].value == "caf\udce9.jpg"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("a.mp4#t=12.5", 12.5), ("a.mp4#t=00:00:12.500", 12.5), ("a.mp4#t=2:05", 125.0), ("a.mp4#t=1:00:00", 3600.0)],
)
def test_times_of_items_may_be_read_from_a_clock(value, seconds):
    assert split_item(value) == ("a.mp4", seconds)
    assert split_item("a.mp4#t=12:") == ("a.mp4#t=12:", None)
