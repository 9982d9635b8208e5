"""Files beside files: which belong to which, what they say, and that none of them can do harm."""

import json
import os
import re
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import MediaError
from retrieval.media import open_media
from retrieval.media.details import Said
from retrieval.media.sidecars import Sidecars, caption_of, read_sidecars, read_takeout
from retrieval.types import Details
from tests.media_makers import draw_picture, write_clip, write_picture
from tests.tag_makers import exif_of, write_takeout, xmp_packet

SMALL = draw_picture(3, (96, 64))


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("photo.jpg", ["photo.jpg.xmp", "photo.xmp", "photo.jpg.txt", "photo.txt", "photo.jpg.json"]),
        ("photo.png", ["photo.xmp", "photo.txt"]),
        ("photo(1).jpg", ["photo.jpg(1).json"]),
        ("photo.jpg(1).json.jpg", []),
        ("new.jpg", ["new.jpg.supplemental-metadata.json"]),
        ("new(2).jpg", ["new.jpg.supplemental-metadata(2).json"]),
        ("cut.jpg", ["cut.jpg.suppl.json"]),
        ("x" * 50 + ".jpg", ["x" * 46 + ".json"]),
        ("Shout.jpg", ["Shout.XMP"]),
        ("none.jpg", []),
        ("pho.jpg", []),
        ("hoto.jpg", []),
    ],
)
def test_which_belong_to_which(name, beside):
    names = ["photo.xmp", "photo.jpg.xmp", "photo.txt", "photo.jpg.txt", "photo.jpg.json", "photo.jpg(1).json"]
    names += ["new.jpg.supplemental-metadata.json", "new.jpg.supplemental-metadata(2).json", "cut.jpg.suppl.json"]
    names += ["x" * 46 + ".json", "Shout.XMP", "photo.jpg", "none.pdf", "none", ".xmp", "photograph.txt"]
    assert Sidecars(names).of(name) == beside


NAMES = st.lists(
    st.tuples(
        st.text("ab().", min_size=1, max_size=5), st.sampled_from(["", ".jpg", ".xmp", ".txt", ".json", ".JSON"])
    ).map("".join),
    max_size=12,
)


@given(NAMES, st.randoms())
def test_sidecars_do_not_depend_on_the_order_of_a_listing(names, random):
    shuffled = sorted(names, key=lambda name: random.random())
    for name in names:
        found = Sidecars(names).of(name)
        assert found == Sidecars(shuffled).of(name)
        assert set(found) <= set(names)


def takeout_names(name: str) -> list[str]:
    """All that Takeout may call the JSON file of ``name``, without ``.json``, the longest first."""
    numbered = re.fullmatch(r"(.+)(\(\d+\))(\.[^.]+)", name, re.DOTALL)
    plain, number = (numbered[1] + numbered[3], numbered[2]) if numbered else (name, "")
    whole = plain + ".supplemental-metadata"
    lengths = {*range(len(plain), len(whole) + 1), min(len(plain), 46)}
    names = [whole[:length] + number for length in sorted(lengths, reverse=True)]
    return [*names, name] if number else names


STEMS = st.text("aé (1).", min_size=1, max_size=4) | st.text("x", min_size=40, max_size=50)
NUMBERS = st.sampled_from(["", "", "(1)", "(12)", "()"])
MEDIA = st.tuples(STEMS, NUMBERS, st.sampled_from([".jpg", ".mp4", ""])).map("".join)


@given(MEDIA, st.data())
def test_the_longest_name_that_takeout_may_give_counts(name, data):
    others = st.tuples(MEDIA, st.sampled_from(["", ".s", ".supplemental-metadata"]), NUMBERS).map("".join)
    owners = data.draw(st.lists(st.sampled_from(takeout_names(name)) | others, max_size=6, unique=True))
    expected = [f"{owner}.json" for owner in takeout_names(name) if owner in owners][:1]
    assert Sidecars([f"{owner}.json" for owner in owners]).of(name) == expected


def write_all(folder, **texts):
    made = []
    for suffix, text in texts.items():
        path = folder / f"a.jpg.{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        made.append(path)
    return made


def test_all_that_is_said_comes_together(tmp_path):
    exif = exif_of({0x010F: "Apple", 0x0110: "iPhone 12", 0x4746: 1, 0x010E: "by the camera's owner"})
    path = write_picture(tmp_path / "a.jpg", SMALL, exif=exif)
    sidecars = write_all(
        tmp_path,
        xmp=xmp_packet({"xmp:Rating": "5", "tiff:Model": "Other"}, {"dc:subject": ["sea"], "dc:title": ["Later"]}),
        txt="A caption\nof two lines",
    )
    geo = {"latitude": 48.8577, "longitude": 2.295, "altitude": 35.0}
    stamp = {"timestamp": "1714566600"}
    people = [{"name": "Mia"}, {}, "x"]
    takeout = write_takeout(
        tmp_path / "a.jpg.json", description="From the web", geoData=geo, photoTakenTime=stamp, people=people
    )
    with open_media(path, sidecars=[*sidecars, takeout]) as media:
        info = media.info
    texts = "Later\nby the camera's owner\nA caption of two lines\nFrom the web"
    assert info.details == Details("Other", 48.8577, 2.295, 5, ("sea", "Mia"), texts)
    assert info.taken_at is not None
    assert datetime.fromisoformat(info.taken_at).timestamp() == 1714566600
    with open_media(path) as media:
        assert media.info.details == Details("Apple iPhone 12", rating=1, told="by the camera's owner")


def test_the_time_of_a_sidecar_counts_only_where_the_file_has_none(tmp_path):
    exif = exif_of({}, None, "2020:02:02 20:20:20")
    path = write_picture(tmp_path / "a.jpg", SMALL, exif=exif)
    takeout = write_takeout(tmp_path / "a.jpg.json", photoTakenTime={"timestamp": "1714566600"})
    with open_media(path, sidecars=[takeout]) as media:
        assert media.info.taken_at == "2020-02-02T20:20:20"


def test_a_video_has_sidecars_too(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [("red", 0.5)])
    caption = tmp_path / "a.txt"
    caption.write_text("a red wall")
    with open_media(path, sidecars=[caption]) as media:
        assert list(media)
        assert media.info.details.told == "a red wall"
        assert media.info.duration_s == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße".encode(), "Grüße"),
        (b"\xef\xbb\xbf" + "Grüße".encode(), "Grüße"),
        ("Grüße".encode("utf-16"), "Grüße"),
        ("Grüße, später".encode("latin-1"), "Grüße, später"),
        ("一只猫坐在窗台上。".encode("gb18030"), "一只猫坐在窗台上。"),
        (b"\x89PNG\0\0", ""),
        (b"", ""),
    ],
)
def test_captions_in_all_encodings(data, text):
    assert caption_of(data) == text


def test_a_long_caption_is_cut_at_a_character(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("漢" * 100_000, encoding="utf-8")
    assert read_sidecars([path]).after[0].details.told == "漢" * 4000


TAKEOUT = [
    b"[]",
    b"null",
    b"not json",
    b"[" * 100_000,
    b'{"description": 5, "geoData": {"latitude": "a", "longitude": null}, "people": 7}',
    b'{"geoData": {"latitude": 1e400, "longitude": 5}}',
    b'{"photoTakenTime": {"timestamp": "' + b"9" * 6000 + b'"}}',
    b'{"photoTakenTime": "yesterday"}',
    b" " * 1_000_001,
    b'{"description": "\\ud800"}'.replace(b"\\ud800", b"\\ud800 "),
]


@pytest.mark.parametrize("data", TAKEOUT, ids=range(len(TAKEOUT)))
def test_hostile_sidecars_say_nothing(tmp_path, data):
    path = write_picture(tmp_path / "a.jpg", SMALL)
    bad = tmp_path / "a.jpg.json"
    bad.write_bytes(data)
    good = tmp_path / "a.txt"
    good.write_text("kept")
    with open_media(path, sidecars=[bad, good]) as media:
        info = media.info
    assert info.details.told.split("\n")[-1] == "kept"
    info.details.told.encode()
    assert (info.details.latitude, info.taken_at) == (None, None)


@pytest.mark.timeout(20)
def test_what_cannot_be_read_says_nothing(tmp_path):
    pipe = tmp_path / "a.xmp"
    os.mkfifo(pipe)
    folder = tmp_path / "a.txt"
    folder.mkdir()
    began_s = time.monotonic()
    beside = read_sidecars([pipe, folder, tmp_path / "missing.json"])
    assert time.monotonic() - began_s < 5
    assert [*beside.before, *beside.after] == [Said()] * 3


def test_a_sidecar_does_not_make_a_file_readable(tmp_path):
    bad = tmp_path / "a.jpg"
    bad.write_bytes(b"no picture")
    with pytest.raises(MediaError):
        open_media(bad, sidecars=write_all(tmp_path, txt="words"))


def test_takeout_without_a_place_or_a_time():
    zero = {"latitude": 0.0, "longitude": 0.0}
    second = {"latitude": -33.5, "longitude": 151.25}
    said = read_takeout(
        json.dumps({"geoData": zero, "geoDataExif": second, "photoTakenTime": {"timestamp": "0"}}).encode()
    )
    assert said == Said(Details(latitude=-33.5, longitude=151.25))
