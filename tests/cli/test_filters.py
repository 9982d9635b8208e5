"""Filters on what files say of themselves, from writing it to finding by it, as a user does."""

import json
import re
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from PIL import Image

from retrieval.filters import FIELDS, parse_where
from tests.cli.conftest import REPOSITORY, Library, run
from tests.cli.test_index import one_line_error, status
from tests.media_makers import write_clip, write_picture
from tests.tag_makers import exif_of, with_tags, write_takeout, xmp_packet

PARIS, SYDNEY = (48.8577, 2.295), (-33.8568, 151.2153)


@pytest.fixture(scope="module")
def album(prepared: Library, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Five pictures and a clip, all red, that differ in what is said of them."""
    root = tmp_path_factory.mktemp("album")
    media = root / "media"
    yesterday = (date.today() - timedelta(days=1)).isoformat().replace("-", ":") + " 09:00:00"
    tower = exif_of({0x010F: "NIKON CORPORATION", 0x0110: "NIKON D850"}, PARIS, "2019:07:04 10:00:00")
    ferry = exif_of({0x010F: "Apple", 0x0110: "iPhone 12"}, SYDNEY, yesterday)
    for name, size, more in (
        ("tower.jpg", (60, 90), {"exif": tower, "xmp": xmp_packet({"xmp:Rating": "5"}, {"dc:subject": ["Holiday"]})}),
        ("ferry.jpg", (160, 90), {"exif": ferry}),
        ("square.png", (64, 64), {}),
        ("IMG_0001.png", (90, 60), {}),
        ("from web.jpg", (90, 60), {}),
    ):
        write_picture(media / name, Image.new("RGB", size, "red"), **more)
    (media / "ferry.txt").write_text("The ferry at dusk", encoding="utf-8")
    write_takeout(
        media / "from web.jpg.json", description="一只猫在窗台上", geoData={"latitude": 48.86, "longitude": 2.35}
    )
    clip = write_clip(media / "clip.mov", [("red", 2.0)], fps=10)
    with_tags(clip, {"title": "Grape harvest", "location": "+48.8577+002.2950/"})
    made = Library(media, root / "collection", prepared.model)
    ran = run("index", media, "-c", made.collection, "--model", made.model)
    assert ran.code == 0, ran.err
    return made


def found(album: Library, where: str, *more: str) -> list[str]:
    ran = run("search", "red", "-c", album.collection, "--where", where, "--format", "jsonl", *more)
    assert ran.code == 0, ran.err
    return [Path(json.loads(line)["path"]).name for line in ran.out.splitlines()]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("camera:nikon", ["tower.jpg"]),
        ("camera:*", ["ferry.jpg", "tower.jpg"]),
        ("not camera:* kind:image", ["IMG_0001.png", "from web.jpg", "square.png"]),
        ("near:48.86,2.35,10km", ["clip.mov", "from web.jpg", "tower.jpg"]),
        ("near:48.86,2.35,1km", ["from web.jpg"]),
        ("box:-90,100,0,-100", ["ferry.jpg"]),
        ("rating>=4", ["tower.jpg"]),
        ("keyword:holi*", ["tower.jpg"]),
        ("told:FERRY", ["ferry.jpg"]),
        ("told:猫 or told:harvest", ["clip.mov", "from web.jpg"]),
        ("orientation:portrait", ["tower.jpg"]),
        ("orientation:square", ["square.png"]),
        ("aspect>=16:9", ["ferry.jpg"]),
        ("megapixels>0.01", ["clip.mov", "ferry.jpg"]),
        ("taken:yesterday", ["ferry.jpg"]),
        ('date:"last 7 days" camera:apple', ["ferry.jpg"]),
        ("taken:2019-06..2019-08", ["tower.jpg"]),
        ("modified:today taken<-1y", ["tower.jpg"]),
        ("name:img_*", ["IMG_0001.png"]),
    ],
)
def test_what_is_said_of_a_file_finds_it(album: Library, where: str, names: list[str]) -> None:
    assert sorted(found(album, where)) == sorted(names)


def test_the_best_by_date(album: Library) -> None:
    assert found(album, "camera:*", "--sort", "date") == ["ferry.jpg", "tower.jpg"]
    assert found(album, "camera:*", "--sort", "path") == ["ferry.jpg", "tower.jpg"]


@pytest.mark.parametrize("where", ["colour:red", "rating>9", "near:Paris", "date:someday", "told:", "camera>5"])
def test_a_wrong_filter_gets_one_line_with_an_example(album: Library, where: str) -> None:
    line = one_line_error(run("search", "red", "-c", album.collection, "--where", where), 2)
    assert "for example " in line


def test_status_tells_how_much_is_known(album: Library) -> None:
    counts = status(album.collection)
    expected = {"taken": 2, "camera": 2, "place": 4, "rating": 1, "keyword": 1, "told": 3}
    assert counts["details"] == expected
    assert counts["undescribed"] == 0
    assert "camera 2, place 4, rating 1, keywords 1, words 3" in run("status", "-c", album.collection).out


def test_files_of_an_earlier_version_are_told_of_and_described(library: Library) -> None:
    with closing(sqlite3.connect(library.collection / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("UPDATE files SET seen = 0")
    assert status(library.collection)["undescribed"] == 11
    assert "more can be told of 11 files" in run("status", "-c", library.collection).out
    ran = run("index", "-c", library.collection, "--dry-run")
    assert "11 described" in ran.err
    ran = run("index", "-c", library.collection)
    assert "11 described" in ran.err
    assert "0 files embedded" in ran.err
    assert status(library.collection)["undescribed"] == 0


@pytest.mark.parametrize("name", ["docs/filters.md", "docs/filters.zh.md"])
def test_the_page_on_filters_names_each_field_and_its_examples_are_read(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*)$", text, re.MULTILINE)
    assert [field for field, _ in rows] == list(FIELDS)
    for field, row in rows:
        examples = [one for one in re.findall(r"`([^`]+)`", row) if one.startswith(field)]
        assert examples, field
        for example in examples:
            assert parse_where(example) is not None
    blocks = re.findall(r'--where "((?:[^"\\]|\\.)*)"', text)
    assert len(blocks) >= 3
    for block in blocks:
        assert parse_where(block.replace('\\"', '"')) is not None
