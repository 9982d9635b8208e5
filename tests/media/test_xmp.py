"""XMP packets: what is read of each form they come in, and that anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.media.details import Said
from retrieval.media.xmp import MAX_BYTES, read_xmp
from tests.tag_makers import xmp_packet

XML_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=20).map(
    lambda text: " ".join(text.split())
)


@pytest.mark.parametrize("attributes", [True, False])
@pytest.mark.parametrize(
    ("rating", "stars"),
    [("0", 0), ("5", 5), ("3.0", 3), ("-1", None), ("6", None), ("many", None), ("nan", None), ("", None)],
)
def test_ratings(rating, stars, attributes):
    assert read_xmp(xmp_packet({"xmp:Rating": rating}, attributes=attributes)).details.rating == stars


@pytest.mark.parametrize(
    ("latitude", "longitude", "place"),
    [
        ("48,51.462N", "2,17.7E", (48.8577, 2.295)),
        ("33,51,24.5S", "151,12,55.1E", (-33.8568, 151.2153)),
        ("0,0.0N", "0,0.0E", None),
        ("48.5N", "2,17.7E", None),
        ("95,0.0N", "2,17.7E", None),
        ("48,51.462N", "", None),
        ("45,0N", "180,0E", (45.0, -180.0)),
    ],
)
def test_places(latitude, longitude, place):
    details = read_xmp(xmp_packet({"exif:GPSLatitude": latitude, "exif:GPSLongitude": longitude})).details
    if place is None:
        assert (details.latitude, details.longitude) == (None, None)
    else:
        assert (details.latitude, details.longitude) == pytest.approx(place, abs=1e-4)


def test_keywords_are_those_of_all_lists_once():
    lists = {
        "dc:subject": ["Paris", "sea"],
        "lr:hierarchicalSubject": ["Places|France|Paris", "Sport|Ski", "darktable|x"],
    }
    assert read_xmp(xmp_packet({}, lists)).details.keywords == ("Paris", "sea", "Ski")


def test_texts_in_all_languages_count():
    packet = xmp_packet(
        {"photoshop:Headline": "H"}, {"dc:title": ["Tower", "塔", "tower"], "dc:description": ["Steel"]}
    )
    assert read_xmp(packet).details.told == "Tower\n塔\nH\nSteel"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_encodings_and_what_stands_around_a_packet(encoding):
    text = "<?xml version='1.0'?>" + xmp_packet({}, {"dc:subject": ["雨"]}).decode().partition("?>")[2]
    assert read_xmp(text.encode(encoding)).details.keywords == ("雨",)
    assert read_xmp(xmp_packet({"xmp:Rating": "2"}) + b"\0\n \0").details.rating == 2
    assert read_xmp(xmp_packet({"xmp:Rating": "2"}).decode()).details.rating == 2


def test_properties_of_structures_within_are_not_those_of_the_file():
    inside = "<rdf:Description><dc:subject><rdf:Bag><rdf:li>other</rdf:li></rdf:Bag></dc:subject></rdf:Description>"
    packet = xmp_packet({"dc:source": "x"}, {"dc:subject": ["own"]}).replace(b">x<", f">{inside}<".encode())
    assert read_xmp(packet).details.keywords == ("own",)


def test_unknown_names_do_no_harm():
    packet = xmp_packet({"tiff:Software": "x", "xmp:Label": "red", "exif:Nothing": "1"})
    assert read_xmp(packet.replace(b"http://ns.adobe.com/exif/1.0/", b"urn:other")) == Said()


@pytest.mark.parametrize(
    "packet",
    [
        xmp_packet({"xmp:Rating": "2"}, prologue="<!DOCTYPE x>"),
        xmp_packet({"xmp:Rating": "2"}, prologue="<!DOCTYPE x [<!ENTITY e 'x'>]>"),
        b" " * (MAX_BYTES + 1),
        b"",
        b"<a></b>",
        b"<?xml version='1.0' encoding='x-none'?><a/>",
    ],
    ids=range(6),
)
def test_anything_else_is_refused(packet):
    with pytest.raises(ValueError, match=r"XMP|bytes"):
        read_xmp(packet)


@given(st.lists(XML_TEXT.filter(bool), max_size=5), XML_TEXT, st.integers(0, 5), st.booleans())
def test_what_is_written_is_read(words, title, stars, attributes):
    packet = xmp_packet({"xmp:Rating": str(stars)}, {"dc:subject": words, "dc:title": [title]}, attributes=attributes)
    details = read_xmp(packet).details
    assert details.rating == stars
    assert len(details.keywords) <= len(words)
    assert bool(details.keywords) == any(words)


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 40))
def test_nothing_but_value_errors_comes_of_any_bytes(noise, at, cut):
    packet = xmp_packet({"xmp:Rating": "2"}, {"dc:subject": ["a"]})
    try:
        said = read_xmp(packet[:at] + noise + packet[at + cut :])
    except ValueError:
        return
    assert said.details.rating in (None, *range(6))
