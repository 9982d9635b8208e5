"""Whole runs over real files, a real collection and a real model: what each change on the disk does to the catalog."""

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from indexer import IndexOptions, Progress, index
from retrieval.diagnose import examine
from retrieval.embedding import Embedder, open_embedder
from retrieval.errors import CollectionError, CollectionLocked, ModelError, ModelMismatch, RetrievalError
from retrieval.filters import parse_where
from retrieval.store import Collection
from tests.indexer.conftest import Desk, did
from tests.media_makers import draw_picture, truncate, write_clip, write_picture
from tests.model_makers import write_tiny_model


def test_the_first_run_embeds_and_the_second_does_nothing(filled: Desk):
    with filled.open() as collection:
        before = collection.stats()
        summary = index(collection, filled.embedder)
        assert did(summary) == {"same": 6}
        assert (summary.embedded, summary.items) == (0, 0)
        assert collection.stats() == before
        assert (before.files, before.items, before.failed) == (6, 8, 0)


def test_what_is_new_is_added_and_what_changed_is_replaced(filled: Desk):
    old = filled.keys("a.png")
    filled.picture("new.png", 10)
    filled.picture("a.png", 11)
    assert filled.did() == {"added": 1, "changed": 1, "same": 5}
    assert filled.keys("a.png") > old
    assert filled.did() == {"same": 7}


def test_touching_embeds_nothing(filled: Desk):
    keys = filled.keys("a.png")
    os.utime(filled.media / "a.png", ns=(5, 5))
    assert filled.did() == {"touched": 1, "same": 5}
    assert filled.keys("a.png") == keys
    assert filled.did() == {"same": 6}


def test_moved_files_and_folders_keep_their_keys(filled: Desk):
    keys = [filled.keys(name) for name in ("a.png", "album/clip.mp4", "album/deep/e.png")]
    (filled.media / "a.png").rename(filled.media / "renamed.png")
    (filled.media / "album").rename(filled.media / "holiday")
    assert filled.did() == {"moved": 5, "same": 1}
    assert [filled.keys(name) for name in ("renamed.png", "holiday/clip.mp4", "holiday/deep/e.png")] == keys
    assert filled.did() == {"same": 6}


def test_files_that_swap_names_keep_their_keys(filled: Desk):
    keys = {name: filled.keys(name) for name in ("a.png", "b.png", "album/c.png")}
    (filled.media / "a.png").rename(filled.media / "x")
    (filled.media / "b.png").rename(filled.media / "a.png")
    (filled.media / "x").rename(filled.media / "b.png")
    filled.picture("new.png", 12).replace(filled.media / "album" / "c.png")
    assert filled.did() == {"moved": 2, "changed": 1, "same": 3}
    assert (filled.keys("a.png"), filled.keys("b.png")) == (keys["b.png"], keys["a.png"])
    assert filled.keys("album/c.png") != keys["album/c.png"]


def test_a_file_moved_over_another(filled: Desk):
    keys = filled.keys("b.png")
    (filled.media / "b.png").replace(filled.media / "a.png")
    assert filled.did() == {"moved": 1, "same": 4}
    assert filled.keys("a.png") == keys
    assert len(filled.records()) == 5


def test_copies_are_embedded_once_and_listed_both(filled: Desk):
    shutil.copy(filled.media / "a.png", filled.media / "a copy.png")
    shutil.copy(filled.media / "album/clip.mp4", filled.media / "b.mp4")
    with filled.open() as collection:
        summary = index(collection, filled.embedder)
        assert did(summary) == {"copied": 2, "same": 6}
        assert summary.embedded == 0
    filled.check()
    assert not set(filled.keys("a.png")) & set(filled.keys("a copy.png"))
    assert len(filled.keys("b.mp4")) == 3
    (filled.media / "a.png").unlink()
    assert filled.did() == {"gone": 1, "same": 7}


def test_copies_among_new_files(desk: Desk):
    for name in ("a.png", "b/a.png", "c.png"):
        desk.picture(name, 1)
    desk.picture("other.png", 2)
    bad = desk.media / "bad1.jpg"
    bad.write_bytes(b"no picture")
    shutil.copy(bad, desk.media / "bad2.jpg")
    summary = desk.run()
    assert did(summary) == {"added": 2, "copied": 2, "failed": 2}
    assert summary.embedded == 2
    assert {path.name for path, _ in summary.failed} == {"bad1.jpg", "bad2.jpg"}
    assert len({reason for _, reason in summary.failed}) == 1
    assert desk.did() == {"same": 4, "failed_before": 2}


def test_deleted_files_are_hidden_and_come_back_as_they_were(filled: Desk):
    keys = filled.keys("a.png")
    (filled.media / "a.png").rename(filled.folder / "kept.png")
    assert filled.did() == {"gone": 1, "same": 5}
    assert filled.records()["a.png"].gone
    with filled.open(write=False) as collection:
        best = collection.search(np.eye(1, 64, dtype=np.float32), 10).keys
        assert keys[0] not in best
    assert filled.did() == {"same": 5}
    (filled.folder / "kept.png").rename(filled.media / "a.png")
    assert filled.did() == {"returned": 1, "same": 5}
    assert filled.keys("a.png") == keys
    (filled.media / "a.png").unlink()
    filled.run()
    shutil.copy(filled.media / "b.png", filled.media / "a.png")
    assert filled.did() == {"copied": 1, "same": 5}


def test_a_deleted_file_that_turns_up_elsewhere_much_later(filled: Desk):
    keys = filled.keys("album/clip.mp4")
    (filled.media / "album/clip.mp4").rename(filled.folder / "kept.mp4")
    assert filled.did() == {"gone": 1, "same": 5}
    (filled.folder / "kept.mp4").rename(filled.media / "again.mp4")
    assert filled.did() == {"moved": 1, "same": 5}
    assert filled.keys("again.mp4") == keys


@pytest.mark.parametrize("how", ["renamed away", "empty", "only junk left"])
def test_a_source_that_is_offline_loses_nothing(filled: Desk, how: str):
    keys = filled.keys("a.png")
    away = filled.folder / "away"
    filled.media.rename(away)
    if how != "renamed away":
        filled.media.mkdir()
    if how == "only junk left":
        (filled.media / "lost+found").mkdir()
    summary = filled.run()
    assert did(summary) == {"offline": 1}
    assert summary.offline == [filled.media]
    with filled.open(write=False) as collection:
        assert [source.offline for source in collection.sources()] == [True]
        assert (collection.stats().offline, collection.stats().gone, collection.stats().items) == (6, 0, 8)
        assert keys[0] in collection.search(np.eye(1, 64, dtype=np.float32), 10).keys
    assert filled.did() == {"offline": 1}
    if how != "renamed away":
        shutil.rmtree(filled.media)
    away.rename(filled.media)
    filled.picture("new.png", 20)
    assert filled.did() == {"added": 1, "same": 6}
    assert filled.keys("a.png") == keys
    with filled.open(write=False) as collection:
        assert [source.offline for source in collection.sources()] == [False]


def test_files_of_an_offline_source_are_copied_not_moved(filled: Desk):
    other = filled.folder / "other"
    shutil.copytree(filled.media, other)
    filled.media.rename(filled.folder / "away")
    assert filled.did(other) == {"copied": 6}
    assert filled.did() == {"same": 6, "offline": 1}
    (filled.folder / "away").rename(filled.media)
    assert filled.did() == {"same": 12}


def test_a_folder_emptied_of_media_but_not_of_everything_is_online(filled: Desk):
    shutil.rmtree(filled.media)
    filled.media.mkdir()
    (filled.media / "notes.txt").write_text("all sold")
    assert filled.did() == {"gone": 6}


def test_files_below_an_unreadable_folder_stay(filled: Desk):
    (filled.media / "album").rename(filled.folder / "elsewhere")
    (filled.media / "album").symlink_to(filled.media / "album")  # opening it fails, for root too
    (filled.media / "notes.txt").symlink_to("nothing")
    (filled.media / "x.jpg").symlink_to("nothing")
    summary = filled.run()
    assert did(summary) == {"same": 2, "problems": 2}
    assert {path.name for path, _ in summary.problems} == {"album", "x.jpg"}
    assert filled.present() == ["a.png", "album/c.png", "album/clip.mp4", "album/d.png", "album/deep/e.png", "b.png"]
    (filled.media / "album").unlink()
    assert filled.did() == {"same": 2, "gone": 4, "problems": 1}


def test_exclude_and_ignore_files(filled: Desk):
    assert filled.did(exclude=("deep/", "b.png")) == {"same": 4, "gone": 2}
    assert filled.did() == {"same": 4, "returned": 2}
    (filled.media / ".sightseekignore").write_text("/album/*\n!*.mp4\n")
    assert filled.did() == {"same": 3, "gone": 3}
    with filled.open() as collection, pytest.raises(RetrievalError, match="exclude"):
        index(collection, filled.embedder, (), IndexOptions(exclude=("!",)))


def test_names_that_are_no_text(desk: Desk):
    nfc, nfd = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))
    names = ["line\nbreak.png", os.fsdecode(b"\xff\xfe.png"), nfc, nfd, "100%_.png", "album#t=1/a.png", "-k.png"]
    for seed, name in enumerate(names):
        desk.picture(name, seed)
    assert desk.did() == {"added": len(names)}
    assert desk.present() == sorted(names)
    (desk.media / "line\nbreak.png").rename(desk.media / os.fsdecode(b"\xfe.png"))
    assert desk.did() == {"moved": 1, "same": len(names) - 1}


def test_bad_files_among_good_ones(desk: Desk):
    for seed in range(12):
        desk.picture(f"{seed:02}.png", seed)
    (desk.media / "03.png").write_bytes(b"")
    (desk.media / "05.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    truncate(write_clip(desk.media / "06.mp4", [("red", 1.0)], size=(64, 48)), 0.02)
    (desk.media / "07.jpg").write_text("a letter")
    desk.clip("08.mp4")
    os.mkfifo(desk.media / "09.jpg")
    summary = desk.run()  # which compares each vector with that of its file alone
    assert did(summary) == {"added": 11, "failed": 4}
    assert {path.name for path, _ in summary.failed} == {"03.png", "05.png", "06.mp4", "07.jpg"}
    assert all(reason and "\n" not in reason and str(desk.folder) not in reason for _, reason in summary.failed)
    with desk.open(write=False) as collection:
        assert sorted(collection.failed()) == sorted(summary.failed)


def test_failed_files_are_tried_again_when_they_change_or_on_request(desk: Desk):
    desk.picture("good.png", 0)
    bad = desk.media / "bad.png"
    bad.write_bytes(b"not yet")
    assert desk.did() == {"added": 1, "failed": 1}
    assert desk.did() == {"same": 1, "failed_before": 1}
    assert desk.did(retry_failed=True) == {"same": 1, "failed": 1}
    bad.rename(desk.media / "moved.png")
    assert desk.did() == {"same": 1, "moved": 1}
    assert desk.records()["moved.png"].status == "failed"
    desk.picture("moved.png", 1)
    assert desk.did() == {"same": 1, "changed": 1}
    (desk.media / "moved.png").write_bytes(b"broken again")
    assert desk.did() == {"same": 1, "failed": 1}
    assert desk.keys("moved.png") == []


def test_a_retry_that_succeeds(desk: Desk):
    good = desk.picture("a.png", 1).read_bytes()
    path = desk.media / "a.png"
    path.write_bytes(bytes(len(good)))
    os.utime(path, ns=(7, 7))
    assert desk.did() == {"failed": 1}
    path.write_bytes(good)
    os.utime(path, ns=(7, 7))  # as if another decoder had been installed: the file looks the same
    assert desk.did() == {"failed_before": 1}
    assert desk.did(retry_failed=True) == {"retried": 1}
    assert desk.did() == {"same": 1}


def test_overlapping_sources_index_each_file_once(desk: Desk):
    for seed, name in enumerate(("a.png", "sub/b.png", "sub/c.png")):
        desk.picture(name, seed)
    sub = desk.media / "sub"
    assert desk.did(sub) == {"added": 2}
    assert desk.did(desk.media) == {"added": 1, "same": 2}
    desk.picture("sub/d.png", 5)
    assert desk.did() == {"added": 1, "same": 3}
    (sub / "b.png").unlink()
    assert desk.did(desk.media) == {"same": 3, "gone": 1}
    assert len(desk.records()) == 4


def test_a_part_of_a_source_is_refreshed_by_itself(filled: Desk):
    filled.picture("later.png", 30)
    filled.picture("album/new.png", 31)
    assert filled.did(filled.media / "album" / "new.png") == {"added": 1}
    (filled.media / "album" / "c.png").unlink()
    assert filled.did(filled.media / "album") == {"same": 4, "gone": 1}
    shutil.rmtree(filled.media / "album" / "deep")
    assert filled.did(filled.media / "album" / "deep") == {"gone": 1}
    with filled.open(write=False) as collection:
        assert [source.path for source in collection.sources()] == [filled.media]
    assert filled.did() == {"added": 1, "same": 5}


def test_a_hidden_folder_inside_a_source_is_indexed_when_named(filled: Desk):
    hidden = filled.media / ".private"
    filled.picture(".private/x.png", 40)
    assert filled.did() == {"same": 6}
    assert filled.did(hidden) == {"added": 1}
    assert filled.did(filled.media) == {"same": 7}
    assert filled.did() == {"same": 7}


def test_a_single_file_as_source(desk: Desk):
    path = desk.picture("one.png", 1, desk.folder / "elsewhere")
    desk.picture("other.png", 2, desk.folder / "elsewhere")
    assert desk.did(path) == {"added": 1}
    assert desk.did() == {"same": 1}
    path.rename(desk.folder / "elsewhere" / "two.png")
    assert desk.did() == {"gone": 1}
    shutil.rmtree(desk.folder / "elsewhere")
    assert desk.did() == {"offline": 1}


def test_paths_that_do_not_exist_are_refused(filled: Desk):
    for path in (filled.folder / "typo", filled.media / "typo\n\udcff.png"):
        with filled.open() as collection, pytest.raises(RetrievalError, match=r"typo.* does not exist") as caught:
            index(collection, filled.embedder, [path])
        assert "\n" not in str(caught.value)
        assert str(caught.value).isprintable()
    assert filled.did() == {"same": 6}


def test_the_collection_may_lie_inside_its_source(desk: Desk):
    desk.home = desk.media / "collection"
    desk.picture("a.png", 1)
    with Collection.create(desk.home, desk.embedder.spec) as collection:
        write_picture(desk.home / "thumbs" / "t.png", draw_picture(1))
        assert did(index(collection, desk.embedder, [desk.media])) == {"added": 1}


def test_a_dry_run_counts_and_changes_nothing(filled: Desk):
    filled.picture("new.png", 50)
    filled.picture("a.png", 51)
    (filled.media / "b.png").rename(filled.media / "c.png")
    (filled.media / "album/deep/e.png").unlink()
    shutil.copy(filled.media / "new.png", filled.media / "new2.png")
    before = filled.records()
    expected = {"added": 1, "changed": 1, "moved": 1, "copied": 1, "gone": 1, "same": 3}
    with filled.open() as collection:
        assert did(index(collection, filled.embedder, (), IndexOptions(dry_run=True))) == expected
        summary = index(collection, filled.embedder, [filled.folder / "media" / ".."], IndexOptions(dry_run=True))
        assert did(summary) == expected
        assert len(collection.sources()) == 1
    assert filled.records() == before
    assert filled.did() == expected


def test_progress_goes_from_nothing_to_everything(desk: Desk):
    for seed in range(5):
        desk.picture(f"{seed}.png", seed)
    desk.clip("c.mp4")
    seen: list[Progress] = []
    with desk.open() as collection:
        index(collection, desk.embedder, [desk.media], progress=seen.append)
        assert [one.done for one in seen] == list(range(7))
        assert {one.total for one in seen} == {6}
        assert (seen[0].left_s, seen[-1].left_s, seen[-1].items) == (None, 0.0, 8)
        assert seen[-1].rate > 0
        seen.clear()
        index(collection, desk.embedder, progress=seen.append)
        assert seen == []


@pytest.mark.parametrize("files", [1, 3, 256])
def test_a_stopped_run_keeps_what_it_did_and_the_next_goes_on(desk: Desk, files: int):
    for seed in range(40):
        desk.picture(f"{seed:02}.png", seed)
    shutil.copy(desk.media / "00.png", desk.media / "copy.png")
    done: list[Progress] = []
    with desk.open() as collection:
        options = IndexOptions(commit_files=files, jobs=1)
        stop = lambda: bool(done) and done[-1].done >= 5  # noqa: E731
        summary = index(collection, desk.embedder, [desk.media], options, done.append, stop)
        assert summary.interrupted
        assert 5 <= summary.added < 40
        assert collection.stats().files == summary.added + summary.copied
    desk.check()
    rest = desk.did()
    assert rest["added"] == 40 - summary.added
    assert desk.did() == {"same": 41}


def test_stopped_before_it_began(filled: Desk):
    filled.picture("new.png", 60)
    with filled.open() as collection:
        assert did(index(collection, filled.embedder, stop=lambda: True)) == {"interrupted": 1}
    assert filled.did() == {"added": 1, "same": 6}


def test_a_file_that_changes_or_vanishes_while_it_is_embedded(desk: Desk):
    for seed in range(6):
        desk.picture(f"{seed}.png", seed)
    shutil.copy(desk.media / "2.png", desk.media / "2 copy.png")
    os.utime(desk.media / "0.png", ns=(10, 10))

    def meddle(progress: Progress) -> None:
        if progress.done == 0:  # all is planned, nothing is decoded yet
            desk.picture("0.png", 100)
            (desk.media / "1.png").unlink()
            (desk.media / "2 copy.png").unlink()
            desk.picture("2 copy.png", 101)

    with desk.open() as collection:
        summary = index(collection, desk.embedder, [desk.media], progress=meddle)
        assert summary.vanished == 1
        assert summary.failed == []
    again = desk.run()
    assert again.changed >= 1
    assert desk.present() == ["0.png", "2 copy.png", "2.png", "3.png", "4.png", "5.png"]
    desk.run()
    desk.check()
    assert desk.did() == {"same": 6}


def test_the_original_of_a_copy_vanishes_while_it_is_embedded(desk: Desk):
    for name in ("a.png", "b.png", "c.png"):
        desk.picture(name, 1)

    def meddle(progress: Progress) -> None:
        if progress.done == 0:
            (desk.media / "a.png").unlink(missing_ok=True)

    with desk.open() as collection:
        summary = index(collection, desk.embedder, [desk.media], progress=meddle)
        assert did(summary) == {"added": 2, "vanished": 1}
    assert desk.did() == {"same": 2}


def test_two_indexers_at_once(filled: Desk):
    with filled.open(), pytest.raises(CollectionLocked):
        filled.open()


def test_another_model_is_refused_before_anything_is_written(filled: Desk, embedders):
    filled.picture("new.png", 70)
    with filled.open() as collection, pytest.raises(ModelMismatch):
        index(collection, embedders[1])
    assert "new.png" not in filled.records()


def test_a_model_that_cannot_be_run_ends_the_run(filled: Desk, tmp_path: Path):
    model = write_tiny_model(tmp_path / "model")
    embedder = open_embedder(str(model))
    (model / "image.onnx").unlink()
    filled.picture("new.png", 72)
    with filled.open() as collection, pytest.raises(ModelError):
        index(collection, embedder)
    assert "new.png" not in filled.records()
    assert filled.did() == {"added": 1, "same": 6}


def test_a_collection_that_may_not_be_written(filled: Desk):
    filled.picture("new.png", 71)
    with filled.open(write=False) as collection, pytest.raises(CollectionError) as caught:
        index(collection, filled.embedder)
    assert "\n" not in str(caught.value)


def test_damaged_vectors_are_embedded_again(filled: Desk):
    record = filled.records()["album/clip.mp4"]
    with filled.open() as collection:
        with collection.transaction() as writer:
            writer.drop_items(collection.frames(record.id).keys.tolist())
        summary = index(collection, filled.embedder)
        assert (summary.embedded, summary.items, summary.same) == (1, 3, 5)
    filled.check()
    assert filled.did() == {"same": 6}


def test_paths_are_taken_as_they_are_meant(filled: Desk, monkeypatch):
    monkeypatch.chdir(filled.folder)
    assert filled.did(Path("media")) == {"same": 6}
    assert filled.did(Path("media/../media/album/")) == {"same": 4}
    with filled.open(write=False) as collection:
        assert len(collection.sources()) == 1


def test_what_a_filter_selects_is_embedded_again(desk: Desk) -> None:
    for seed in range(3):
        desk.picture(f"{seed}.png", seed)
    desk.clip("a.mp4")
    (desk.media / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    desk.run()
    before = {name: desk.keys(name) for name in desk.records() if name != "bad.jpg"}
    assert desk.did(again=parse_where("kind:video")) == {"renewed": 1, "same": 3, "failed_before": 1}
    after = {name: desk.keys(name) for name in before}
    assert {name for name in before if before[name] != after[name]} == {"a.mp4"}
    assert desk.did(again=parse_where("ext:jpg or path:2*")) == {"renewed": 1, "same": 3, "failed": 1}
    assert desk.did(again=parse_where("path:nowhere/**")) == {"same": 4, "failed_before": 1}
    assert desk.did() == {"same": 4, "failed_before": 1}


class Numb:
    """A model whose weights are lost: it sees the same in everything."""

    def __init__(self, embedder: Embedder) -> None:
        self.spec, self.dim, self.batch_size = embedder.spec, embedder.dim, embedder.batch_size
        self.preprocess = embedder.preprocess

    def embed_pixels(self, batch: np.ndarray) -> np.ndarray:
        return np.tile(np.eye(1, self.dim, dtype=np.float32), (len(batch), 1))


@pytest.mark.parametrize(("count", "told"), [(8, True), (7, False)])
def test_vectors_that_are_all_alike_are_noticed(desk: Desk, count: int, told: bool) -> None:
    for seed in range(count):
        desk.picture(f"{seed}.png", seed)
    with desk.open() as collection:
        index(collection, Numb(desk.embedder), [desk.media])
        assert any("same vector" in note for note in collection.notes) == told
    assert bool([one for one in examine(desk.home) if "same vector" in one.value]) == told
    if told:
        desk.run(again=parse_where("kind:image"))  # with a sound model
        assert not [one for one in examine(desk.home) if "same vector" in one.value]


def test_copies_of_one_picture_are_no_sign_of_a_broken_model(desk: Desk) -> None:
    for number in range(9):
        desk.picture(f"{number}.png", 1)
    with desk.open() as collection:
        index(collection, desk.embedder, [desk.media])
        assert collection.notes == []


def test_a_size_of_batches_that_is_asked_for_reaches_the_model(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    embed = desk.embedder.embed_pixels
    monkeypatch.setattr(desk.embedder, "batch_size", 3)
    monkeypatch.setattr(desk.embedder, "embed_pixels", lambda batch: sizes.append(len(batch)) or embed(batch))
    for seed in range(7):
        desk.picture(f"{seed}.png", seed)
    assert desk.did(batch=5) == {"added": 7}
    assert sizes[:2] == [5, 2]
