"""What pictures say of themselves comes out of whichever place says it, and damage in one place hides nothing else."""

import random
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import MediaError
from retrieval.media import open_media
from retrieval.types import Details
from tests.media_makers import draw_picture, write_animation, write_picture
from tests.tag_makers import (
    PARIS,
    exif_of,
    iptc_of,
    photoshop_blocks,
    png_chunk,
    windows_text,
    with_chunks,
    with_iptc,
    with_segments,
    xmp_packet,
)

MAKE, MODEL, DESCRIPTION, RATING, PERCENT = 0x010F, 0x0110, 0x010E, 0x4746, 0x4749
XP_TITLE, XP_COMMENT, XP_KEYWORDS, XP_SUBJECT = 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F
SMALL = draw_picture(3, (96, 64))
XMP = xmp_packet(
    {"xmp:Rating": "4", "exif:GPSLatitude": "48,51.462N", "exif:GPSLongitude": "2,17.7E", "tiff:Model": "Z 6"},
    {"dc:subject": ["Holiday", "Été"], "dc:title": ["Seine"], "dc:description": ["The river & its boats"]},
)


def told(path: Path) -> tuple[Details, str | None]:
    with open_media(path) as media:
        assert next(iter(media)).pixels.shape[2] == 3
        return media.info.details, media.info.taken_at


def place(details: Details) -> tuple[float, float]:
    assert details.latitude is not None
    assert details.longitude is not None
    return round(details.latitude, 4), round(details.longitude, 4)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic", ".avif"])
def test_exif_and_xmp_of_each_format(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    exif = exif_of({MAKE: "NIKON CORPORATION", MODEL: "NIKON D850", RATING: 2}, PARIS, "2024:05:01 12:30:00")
    if suffix == ".heic":
        import pillow_heif

        pillow_heif.from_pillow(SMALL).save(path, exif=exif.tobytes(), xmp=XMP)
    elif suffix == ".png":
        with_chunks(write_picture(path, SMALL, exif=exif), png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))
    elif suffix == ".tif":
        exif[700] = XMP
        write_picture(path, SMALL, exif=exif)
    else:
        write_picture(path, SMALL, exif=exif, xmp=XMP)
    details, taken_at = told(path)
    assert place(details) == PARIS
    assert taken_at == "2024-05-01T12:30:00"
    # XMP, which programs write last, goes before EXIF
    assert details.rating == 4
    assert details.camera == "Z 6"
    assert details.keywords == ("Holiday", "Été")
    assert details.told == "Seine\nThe river & its boats"


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("NIKON CORPORATION", "COOLPIX P900", "NIKON COOLPIX P900"),
        ("Apple", "iPhone 12 Pro", "Apple iPhone 12 Pro"),
        ("Canon", "Canon EOS 5D Mark IV", "Canon EOS 5D Mark IV"),
        ("OLYMPUS IMAGING CORP.  ", "E-M10", "OLYMPUS E-M10"),
        ("LEICA CAMERA AG", "LEICA Q2", "LEICA Q2"),
        ("", "Pixel 8", "Pixel 8"),
        ("Google", "", "Google"),
        ("  \0", " ", ""),
    ],
)
def test_a_camera_is_named_without_repeating_its_make(tmp_path, make, model, camera):
    path = write_picture(tmp_path / "a.jpg", SMALL, exif=exif_of({MAKE: make, MODEL: model}))
    assert told(path)[0].camera == camera


@pytest.mark.parametrize("where", [(-33.8568, 151.2153), (-22.9519, -43.2105), (64.1466, -21.9426), (0.0, 12.5)])
def test_places_all_around(tmp_path, where):
    details, _ = told(write_picture(tmp_path / "a.jpg", SMALL, exif=exif_of({}, where)))
    assert place(details) == where


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)},
        {1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (200.0, 0.0, 0.0)},
        {1: "N", 2: (48.0, 0.0, 0.0)},
        {1: "S", 3: "W"},
    ],
)
def test_what_is_no_place(tmp_path, gps):
    exif = exif_of({MAKE: "Apple", MODEL: "iPhone 12"})
    exif[0x8825] = gps
    details, _ = told(write_picture(tmp_path / "a.jpg", SMALL, exif=exif))
    assert (details.latitude, details.longitude) == (None, None)
    assert details.camera == "Apple iPhone 12"


def test_what_windows_writes(tmp_path):
    tags = {XP_TITLE: "Títle", XP_SUBJECT: "Über", XP_COMMENT: "说明", XP_KEYWORDS: "sea;雨; Sea ;"}
    exif = exif_of({PERCENT: 75, **{tag: windows_text(text) for tag, text in tags.items()}})
    details, _ = told(write_picture(tmp_path / "a.jpg", SMALL, exif=exif))
    assert details == Details(rating=4, keywords=("sea", "雨"), told="Títle\nÜber\n说明")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("OLYMPUS DIGITAL CAMERA         ", ""),
        ("SONY DSC", ""),
        ("<KENOX S630  / Samsung S630>", ""),
        ("Created with GIMP", ""),
        ("NIKON D850", ""),
        ('{"shape": [32, 32]}', ""),
        ("...", ""),
        ("My old digital camera", "My old digital camera"),
        ("Grüße \n\t aus Köln", "Grüße aus Köln"),
        ("\x01\x02a\x7fb", "a b"),
    ],
)
def test_descriptions_that_people_wrote(tmp_path, text, kept):
    exif = exif_of({MAKE: "NIKON CORPORATION", MODEL: "NIKON D850", DESCRIPTION: text.encode()})
    assert told(write_picture(tmp_path / "a.jpg", SMALL, exif=exif))[0].told == kept


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_iptc_of_a_jpeg_and_a_tiff(tmp_path, encoding):
    iptc = iptc_of([(25, "Müll"), (25, "sea"), (105, "Headline"), (120, "Größe"), (25, "SEA"), (5, "Title")], encoding)
    expected = Details(keywords=("Müll", "sea"), told="Title\nHeadline\nGröße")
    assert told(with_iptc(write_picture(tmp_path / "a.jpg", SMALL), iptc))[0] == expected
    for number, tag in enumerate(({34377: photoshop_blocks(iptc)}, {33723: iptc})):
        assert told(write_picture(tmp_path / f"{number}.tif", SMALL, exif=exif_of(tag)))[0] == expected


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_iptc_that_is_cut_short_keeps_what_is_whole(tmp_path, cut):
    iptc = iptc_of([(25, "first"), (25, "secon"), (25, "third")])
    details, _ = told(with_iptc(write_picture(tmp_path / "a.jpg", SMALL), iptc[:-cut]))
    assert details.keywords == ("first", "secon", "third")[: max(0, (len(iptc) - cut - 8) // 10)]


def test_texts_of_a_png(tmp_path):
    path = write_picture(tmp_path / "a.png", SMALL)
    with_chunks(path, png_chunk(b"tEXt", b"Title\0\xc3\x9cber"), png_chunk(b"tEXt", b"Software\0x"))
    with_chunks(path, png_chunk(b"iTXt", "Description\0\0\0\0\0雨の日".encode()), before=b"IEND")
    with_chunks(path, png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"no")))
    assert told(path)[0] == Details(told="Über\n雨の日")


def test_an_animation_says_things_too(tmp_path):
    path = write_animation(tmp_path / "a.webp", ["red", "blue"], 200, xmp=XMP, exif=exif_of({MAKE: "Apple"}))
    details, _ = told(path)
    assert details.rating == 4
    assert details.keywords == ("Holiday", "Été")


# ------------------------------------------------------------------------------------------------ damaged and hostile


BOMB = b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + b"".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>".encode() for n in range(9)
)
HOSTILE_XMP = [
    b"",
    b"\0" * 64,
    b"not xml at all",
    XMP[: len(XMP) // 2],
    XMP.replace(b"<x:xmpmeta", BOMB + b"]><x:xmpmeta").replace(b"Seine", b"&j;"),
    XMP.replace(b"<x:xmpmeta", b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x:xmpmeta"),
    XMP.replace(b"<x:xmpmeta", b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x:xmpmeta"),
    b"<?xml version='1.0' encoding='no-such-encoding'?>" + XMP,
    b"<a>" * 15_000,
    XMP.replace(b"Seine", b"\xff\xfe\xed\xa0\x80"),
]


@pytest.mark.parametrize("packet", HOSTILE_XMP, ids=range(len(HOSTILE_XMP)))
@pytest.mark.timeout(20)
def test_hostile_xmp_counts_as_none_and_hides_nothing(tmp_path, packet):
    path = write_picture(tmp_path / "a.jpg", SMALL, exif=exif_of({MAKE: "Apple", RATING: 3}, PARIS))
    with_segments(path, (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet))
    details, _ = told(path)
    assert details == Details("Apple", *PARIS, 3)


def test_text_of_any_length_is_bounded(tmp_path):
    words = [f"keyword {number}" + "x" * 300 for number in range(3000)]
    packet = xmp_packet({}, {"dc:subject": words, "dc:description": ["long " * 100_000]})
    path = write_picture(tmp_path / "a.png", SMALL)
    with_chunks(path, png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    details, _ = told(path)
    assert len(details.told) <= 4000
    assert len(details.keywords) == 500
    assert max(map(len, details.keywords)) <= 200


@pytest.mark.parametrize("seed", range(60))
def test_scrambled_exif_is_never_the_end_of_a_picture(tmp_path, seed):
    tags = {MAKE: "Apple", MODEL: "iPhone", RATING: 3, XP_KEYWORDS: windows_text("a;b"), DESCRIPTION: "words"}
    path = write_picture(tmp_path / "a.jpg", SMALL, exif=exif_of(tags, PARIS, "2024:05:01 12:30:00"))
    data = bytearray(path.read_bytes())
    start = data.index(b"Exif\0\0") + 6
    size = int.from_bytes(data[start - 8 : start - 6], "big") - 8
    rng = random.Random(seed)
    for _ in range(rng.choice([1, 3, 20])):
        data[start + rng.randrange(size)] = rng.randrange(256)
    path.write_bytes(bytes(data))
    details, _ = told(path)
    assert details.rating is None or 0 <= details.rating <= 5
    assert details.latitude is None or abs(details.latitude) <= 90
    details.told.encode()  # what comes out can be stored
    assert all(word.encode() for word in details.keywords)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(3_000_000))),
        png_chunk(b"iTXt", b"Title\0\1\0\0\0" + zlib.compress(bytes(3_000_000))),
        png_chunk(b"zTXt", b"Title\0\7nothing"),
        png_chunk(b"tEXt", b"Software\0damaged", sound=False),
        png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(10))) + png_chunk(b"tEXt", b"T" * 70_000_000),
    ],
    ids=["packed bomb", "international bomb", "unknown packing", "wrong checksum", "70 MB of text"],
)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_a_png_whose_texts_are_damaged_is_shown_all_the_same(tmp_path, chunk, before):
    path = write_picture(tmp_path / "a.png", SMALL, exif=exif_of({MAKE: "Apple"}))
    plain = with_chunks(path, png_chunk(b"tEXt", b"Description\0kept")).read_bytes()
    with open_media(path) as media:
        expected = next(iter(media)).pixels
    path.write_bytes(plain)
    with_chunks(path, chunk, before=before)
    with open_media(path) as media:
        np.testing.assert_array_equal(next(iter(media)).pixels, expected)
        assert media.info.details == Details("Apple", told="kept")


def test_a_png_that_is_damaged_elsewhere_is_refused_as_ever(tmp_path):
    path = with_chunks(write_picture(tmp_path / "a.png", SMALL), png_chunk(b"tEXt", b"Title\0x", sound=False))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 200])
    with pytest.raises(MediaError, match="damaged"), open_media(path) as media:
        list(media)


def test_the_time_of_xmp_counts_where_exif_has_none(tmp_path):
    packet = xmp_packet({"photoshop:DateCreated": "2019-07-04T10:00:00+02:00"}, attributes=True)
    assert told(write_picture(tmp_path / "a.jpg", SMALL, xmp=packet))[1] == "2019-07-04T10:00:00+02:00"
    exif = exif_of({}, None, "2024:05:01 12:30:00")
    assert told(write_picture(tmp_path / "b.jpg", SMALL, xmp=packet, exif=exif))[1] == "2024-05-01T12:30:00"


def test_a_picture_without_anything_says_nothing(tmp_path):
    for suffix in (".jpg", ".png", ".gif", ".bmp", ".webp", ".tif"):
        assert told(write_picture(tmp_path / f"a{suffix}", Image.new("RGB", (8, 8)))) == (Details(), None)
