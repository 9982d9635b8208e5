"""What videos say of themselves, written and read by ffmpeg."""

import pytest

from retrieval.media import open_media
from retrieval.media.container_tags import degrees_of, read_container
from retrieval.types import Details
from tests.media_makers import write_clip
from tests.tag_makers import PARIS, with_tags, with_xmp_box, xmp_packet

APPLE = "com.apple.quicktime."


def told(path):
    with open_media(path) as media:
        before = media.info
        assert list(media)
        assert media.info.details == before.details  # known before the frames, and not lost by reading them
        return media.info


def test_a_clip_of_a_phone(tmp_path):
    tags = {
        APPLE + "make": "Apple",
        APPLE + "model": "iPhone 12",
        APPLE + "location.ISO6709": "+48.8577+002.2950+035.123/",
        APPLE + "creationdate": "2024-05-01T12:30:00+0200",
        APPLE + "keywords": "sea,  Holiday",
        "title": "Boats",
        "comment": "On the Seine",
    }
    info = told(with_tags(write_clip(tmp_path / "a.mp4", [("red", 0.5)]), tags, as_given=True))
    assert info.details == Details("Apple iPhone 12", *PARIS, None, ("sea", "Holiday"), "Boats\nOn the Seine")
    assert info.taken_at == "2024-05-01T12:30:00+02:00"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_each_container(tmp_path, suffix):
    tags = {"title": "Bäume", "comment": "im Wind", "location": "+48.8577+002.2950/"}
    details = told(with_tags(write_clip(tmp_path / f"a{suffix}", [("red", 0.5)]), tags)).details
    assert details.told == "Bäume\nim Wind"
    assert (details.latitude, details.longitude) == pytest.approx(PARIS, abs=1e-3)


def test_xmp_in_an_mp4(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [("red", 0.5)])
    with_xmp_box(path, xmp_packet({"xmp:Rating": "5"}, {"dc:subject": ["wind"], "dc:title": ["T"]}))
    assert told(path).details == Details(rating=5, keywords=("wind",), told="T")
    with_xmp_box(write_clip(path, [("red", 0.5)]), b"<broken")
    assert told(path).details == Details()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+48.8577+002.2950/", (48.8577, 2.295)),
        ("-33.8568+151.2153+005/", (-33.8568, 151.2153)),
        ("+4851.462+00217.7/", (48.8577, 2.295)),
        ("-335124.5-0432238.0CRSWGS_84/", (-33.8568, -43.3772)),
        ("+48+002/", (48, 2)),
        ("+48.8577", None),
        ("+488.5+002.2/", None),
        ("somewhere", None),
        ("", None),
    ],
)
def test_iso_6709(text, place):
    assert degrees_of(text) == (None if place is None else pytest.approx(place, abs=1e-4))


def test_tags_that_are_no_use():
    assert read_container({"location": "+91.0+002.0/", "title": "", "creation_time": "never", "make": " "}) == (
        Details(),
        None,
    )
    assert read_container({"title": "x" * 10_000}).details.told == "x" * 4000
