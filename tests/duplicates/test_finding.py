"""Groups of files that are alike, found in real collections."""

import os
import shutil

import pytest
from PIL import Image

from retrieval.config import DuplicateOptions
from retrieval.duplicates import find_duplicates
from retrieval.errors import QueryError
from retrieval.store import Collection
from tests.duplicates.conftest import Desk, photo, told


def test_copies_of_the_same_bytes(library):
    assert told(library.find(level="exact")) == [
        {f"{seed}.png": "exact keep", f"{seed} again.png": "exact spare"} for seed in range(4)
    ]


def test_copies_in_other_forms(library):
    groups = library.find()
    assert [group.level for group in groups] == ["identical"] * 4
    for seed, names in enumerate(told(groups)):
        assert names == {
            f"{seed}.png": "identical keep",
            f"{seed} again.png": "exact spare",
            f"{seed} small.jpg": "identical spare",
            f"{seed} bright.webp": "identical spare",
            f"{seed} crop.jpg": "identical spare",
        }
    kept = groups[0].members[0]
    assert (kept.file.width, kept.file.height, kept.similarity) == (640, 480, 1.0)
    assert all(0.9 < one.similarity <= 1 for group in groups for one in group.members)
    assert groups[0].spare_bytes == sum(one.file.size_bytes for one in groups[0].members[1:])


def test_nothing_is_touched(library):
    before = {path: path.stat().st_mtime_ns for path in library.media.rglob("*")}
    library.find(level="similar", across_videos=True)
    assert {path: path.stat().st_mtime_ns for path in library.media.rglob("*")} == before


def test_similar_pictures_are_only_to_be_looked_at(desk):
    desk.picture("a.png", 1)
    desk.picture("a tenth less.png", photo(1).crop((48, 36, 592, 444)))
    desk.picture("b.png", 2)
    desk.index()
    assert desk.find() == []
    (group,) = desk.find(level="similar")
    assert told([group]) == [{"a.png": "similar keep", "a tenth less.png": "similar look"}]


def test_only_among_some(library):
    only_pngs = library.find(where="ext:png")
    assert [len(group.members) for group in only_pngs] == [2] * 4
    below = library.find(below=(library.media / "copies",))
    assert [len(group.members) for group in below] == [4] * 4
    one = library.find(below=(library.media / "copies", library.media / "2.png"))
    assert sorted(len(group.members) for group in one) == [4, 4, 4, 5]
    with pytest.raises(QueryError, match="nothing of /nowhere is indexed"):
        library.find(below=(library.media.__class__("/nowhere"),))


def test_files_that_are_gone_do_not_count(library):
    (library.media / "copies" / "0 again.png").unlink()
    library.index()
    assert len(library.find(level="exact")) == 3


def test_what_changed_or_is_away_is_not_called_spare(library):
    (library.media / "copies" / "0 again.png").unlink()
    (library.media / "copies" / "1 again.png").write_bytes(b"something else")
    (library.media / "2.png").unlink()
    os.utime(library.media / "3.png", ns=(5, 5))
    groups = library.find(level="exact")
    assert [[one.suggestion for one in group.members] for group in groups] == [["keep", "look"]] * 4
    assert [group.members[1].reason for group in groups] == [
        "not to be found just now",
        "changed since it was indexed",
        "the one to keep is not to be found just now",
        "the one to keep changed since it was indexed",
    ]


def test_one_file_under_two_names_is_not_called_spare(desk):
    first = desk.picture("a.png", 1)
    os.link(first, desk.media / "b.png")
    (desk.media / "folder").mkdir()
    shutil.copy2(first, desk.media / "folder" / "c.png")
    desk.index()
    (group,) = desk.find(level="exact")
    assert told([group]) == [{"a.png": "exact keep", "c.png": "exact spare", "b.png": "exact look"}]
    assert group.members[2].reason == "the same file as the one to keep, under another name"


def test_the_only_copy_reached_through_a_link_is_not_called_spare(desk, tmp_path):
    desk.picture("real/a.png", 1)
    (tmp_path / "link").symlink_to(desk.media / "real")
    desk.index()
    with Collection.open(desk.home, write=True) as collection:
        from indexer import index

        index(collection, desk.embedder, [tmp_path / "link"])
        (group,) = find_duplicates(collection, None, DuplicateOptions("exact")).groups
    assert [one.suggestion for one in group.members] == ["keep", "look"]


def test_metadata_is_not_lost(desk):
    exif = Image.Exif()
    exif[0x9003] = exif[0x0132] = "2024:05:01 12:30:00"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:30:00"
    desk.picture("large.png", 1)
    desk.picture("small but dated.jpg", photo(1).resize((320, 240)), exif=exif, quality=60)
    desk.index()
    (group,) = desk.find()
    assert told([group]) == [{"large.png": "identical keep", "small but dated.jpg": "identical look"}]
    assert group.members[0].reason == "most pixels"
    assert group.members[1].reason == "tells more of when, where and what than the one to keep"


def test_a_larger_file_is_to_be_looked_at(desk):
    desk.picture("enlarged.jpg", photo(1).resize((320, 240)).resize((1280, 960)), quality=30)
    desk.picture("original.png", 1)
    desk.index()
    (group,) = desk.find()
    assert told([group]) == [{"enlarged.jpg": "identical keep", "original.png": "identical look"}]


def test_videos_that_show_the_same_from_beginning_to_end(desk):
    desk.clip("a.mp4", 1, 2, 3)
    desk.clip("small.webm", 1, 2, 3, size=(120, 90), fps=15)
    desk.clip("another end.mp4", 1, 2, 4)
    desk.clip("another order.mp4", 3, 2, 1)
    desk.clip("a part.mp4", 1, 2)
    desk.index()
    (group,) = desk.find()
    assert told([group]) == [{"a.mp4": "identical keep", "small.webm": "identical look"}]
    assert group.members[1].reason == "looks the same at almost all times; play both"


def test_a_burst_does_not_chain(desk):
    """Each is like the next, and the first like nothing of the last."""
    wide = photo(5).resize((1600, 1200))
    for step in range(12):
        desk.picture(f"{step:02}.png", wide.crop((40 * step, 0, 40 * step + 640, 480)))
    desk.index()
    assert desk.find() == []
    groups = desk.find(level="similar")
    assert len(groups) > 1
    members = [one.file.path.name for group in groups for one in group.members]
    assert len(members) == len(set(members))


def test_files_without_looks_are_compared_by_their_bytes(desk, make_old):
    desk.picture("a.png", 1)
    desk.picture("a small.jpg", photo(1).resize((320, 240)))
    desk.copy(desk.media / "a.png", "b.png")
    desk.index()
    make_old(desk)
    with Collection.open(desk.home) as collection:
        found = find_duplicates(collection)
    assert told(list(found.groups)) == [{"a.png": "exact keep", "b.png": "exact spare"}]
    assert found.notes == (
        "2 files were indexed before looks were kept, and compared by their bytes alone; run: sightseek index",
    )


@pytest.fixture
def make_old():
    """Make a collection forget what its items look like, as one from before signatures were kept."""

    def forget(desk: Desk) -> None:
        import sqlite3

        with sqlite3.connect(desk.home / "catalog.sqlite") as connection:
            connection.execute("UPDATE items SET signature = x''")
        connection.close()

    return forget


def test_progress_is_told_to_the_end(library):
    done: list[tuple[int, int]] = []
    with Collection.open(library.home) as collection:
        find_duplicates(collection, None, DuplicateOptions("similar"), lambda *count: done.append(count))
    assert [one for one, _ in done] == sorted(one for one, _ in done)
    assert done[-1][0] == done[-1][1]


def test_nothing_at_all(desk):
    desk.picture("a.png", 1)
    desk.index()
    for level in ("exact", "identical", "similar"):
        assert desk.find(level=level, across_videos=True, collapse_pairs=True) == []
