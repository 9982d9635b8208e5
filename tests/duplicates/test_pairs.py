"""Photos and what was taken with them."""

import os
import shutil

from tests.duplicates.conftest import Desk, told

NOON = 1_714_564_800 * 10**9


def take(desk: Desk, folder: str, seed: int, *, raw: bool = False, at_ns: int = NOON) -> None:
    desk.picture(f"{folder}/IMG_{seed}.jpg", seed, quality=90)
    desk.clip(f"{folder}/img_{seed}.MOV", seed)
    if raw:
        (desk.media / folder / f"IMG_{seed}.CR2").write_bytes(b"raw")
    for path in (desk.media / folder).iterdir():
        os.utime(path, ns=(at_ns, at_ns))


def test_a_live_photo_and_its_raw_file_belong_together(desk):
    take(desk, "camera", 1, raw=True)
    desk.index()
    (group,) = desk.find()
    assert group.level == "pair"
    assert told([group]) == [{"IMG_1.jpg": "pair keep", "img_1.MOV": "pair keep", "IMG_1.CR2": "pair keep"}]
    assert desk.find(collapse_pairs=True) == []


def test_other_names_folders_and_times_are_no_pair(desk):
    take(desk, "camera", 1)
    os.utime(desk.media / "camera" / "img_1.MOV", ns=(NOON + 3 * 10**9, NOON + 3 * 10**9))
    take(desk, "other", 2)
    shutil.move(desk.media / "other" / "img_2.MOV", desk.media / "img_2.MOV")
    desk.index()
    assert desk.find() == []


def test_copies_of_pairs_are_one_group_when_pairs_count_as_one(desk):
    take(desk, "camera", 1)
    shutil.copytree(desk.media / "camera", desk.media / "backup")
    desk.index()
    assert sorted(group.level for group in desk.find()) == ["exact", "exact", "pair", "pair"]
    (group,) = desk.find(collapse_pairs=True)
    assert told([group]) == [{"IMG_1.jpg": "exact spare"}]  # both have this name
    assert [one.suggestion for one in group.members] == ["keep", "spare"]
    assert [one.beside for one in group.members] == [
        (str(desk.media / folder / "img_1.MOV"),) for folder in ("backup", "camera")
    ]


def test_a_photo_is_not_parted_from_what_belongs_to_it(desk):
    take(desk, "camera", 1)
    desk.copy(desk.media / "camera" / "IMG_1.jpg", "a.jpg")
    desk.index()
    (group,) = desk.find(collapse_pairs=True)
    assert [(one.file.path.name, one.suggestion) for one in group.members] == [
        ("IMG_1.jpg", "keep"),
        ("a.jpg", "spare"),
    ]
    assert group.members[0].reason == "has a video or raw file beside it"


def test_raw_files_are_not_known_to_be_the_same(desk):
    take(desk, "camera", 1, raw=True)
    shutil.copytree(desk.media / "camera", desk.media / "backup")
    desk.index()
    (group,) = desk.find(collapse_pairs=True)
    assert [one.suggestion for one in group.members] == ["keep", "look"]
    assert group.members[1].reason == "a video or raw file beside it is not beside the one to keep"


def test_a_video_that_also_has_a_copy_elsewhere_keeps_its_group(desk):
    take(desk, "camera", 1)
    desk.copy(desk.media / "camera" / "img_1.MOV", "holiday.mov")
    desk.index()
    (group,) = desk.find(collapse_pairs=True)
    assert {one.file.path.name for one in group.members} == {"img_1.MOV", "holiday.mov"}
