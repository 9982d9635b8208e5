"""Changing the model of a collection: the old one serves until the switch, and nothing is lost on the way."""

import shutil

import numpy as np
import pytest

from indexer import IndexOptions, Summary, index
from retrieval.config import Sampling
from retrieval.errors import CollectionError, ModelMismatch
from tests.indexer.conftest import Desk, did

REEMBED = IndexOptions(reembed=True, jobs=1, commit_files=1)


def reembed(desk: Desk, embedder, options: IndexOptions = REEMBED, **more) -> Summary:
    with desk.open() as collection:
        return index(collection, embedder, (), options, **more)


def answer(desk: Desk, embedder, text: str) -> list[int]:
    with desk.open(write=False) as collection:
        collection.check_model(embedder.spec)
        return collection.search(embedder.embed_texts([text]), 8).keys[0].tolist()


def use(desk: Desk, embedder) -> Desk:
    desk.embedder = embedder
    return desk


def test_all_files_are_embedded_and_then_the_model_is_switched(filled: Desk, embedders):
    shutil.copy(filled.media / "a.png", filled.media / "copy.png")
    filled.run()
    before = answer(filled, embedders[0], "red")
    summary = reembed(filled, embedders[1])
    assert did(summary) == {"renewed": 7, "switched": 1}
    use(filled, embedders[1]).check()
    assert len(answer(filled, embedders[1], "red")) == len(before)
    with pytest.raises(ModelMismatch):
        answer(filled, embedders[0], "red")
    assert filled.did() == {"same": 7}


def test_an_interrupted_change_leaves_the_old_model_at_work_and_goes_on(filled: Desk, embedders):
    for seed in range(40):
        filled.picture(f"more/{seed}.png", 100 + seed)
    filled.run()
    before = answer(filled, embedders[0], "red")
    done: list[int] = []
    summary = reembed(
        filled, embedders[1], progress=lambda one: done.append(one.done), stop=lambda: bool(done) and done[-1] >= 2
    )
    assert summary.interrupted
    assert not summary.switched
    assert 2 <= summary.renewed < 46
    filled.check()
    assert answer(filled, embedders[0], "red") == before
    with filled.open() as collection:
        assert collection.building == embedders[1].spec
        with pytest.raises(CollectionError, match="--reembed"):
            index(collection, embedders[0])
    rest = reembed(filled, embedders[1])
    assert did(rest) == {"renewed": 46 - summary.renewed, "same": summary.renewed, "switched": 1}
    use(filled, embedders[1]).check()


def test_a_change_can_be_taken_back(filled: Desk, embedders):
    for number in range(40):  # more than can be under way at once
        filled.picture(f"{number}.png", 100 + number)
    filled.run()
    done: list[int] = []
    summary = reembed(
        filled, embedders[1], progress=lambda one: done.append(one.done), stop=lambda: bool(done) and done[-1] >= 2
    )
    assert 2 <= summary.renewed < 46
    with filled.open() as collection:
        collection.cancel_reembed()
    assert filled.did() == {"same": 46}


def test_the_disk_changes_meanwhile(filled: Desk, embedders):
    (filled.media / "a.png").rename(filled.media / "moved.png")
    (filled.media / "b.png").unlink()
    filled.picture("new.png", 20)
    shutil.copy(filled.media / "new.png", filled.media / "new2.png")
    filled.picture("album/c.png", 21)
    (filled.media / "album" / "d.png").write_bytes(b"damaged")
    summary = reembed(filled, embedders[1])
    assert did(summary) == {
        "added": 2, "changed": 1, "renewed": 3, "moved": 1, "gone": 1, "failed": 1, "switched": 1,
    }  # fmt: skip
    use(filled, embedders[1]).check()
    assert filled.did() == {"same": 6, "failed_before": 1}


def test_files_out_of_reach_hold_the_switch_back(filled: Desk, embedders):
    drive = filled.folder / "drive"
    filled.picture("x.png", 30, drive)
    assert filled.did(drive) == {"added": 1}
    drive.rename(filled.folder / "away")
    before = answer(filled, embedders[0], "red")
    with pytest.raises(CollectionError, match=r"1 file in .*/drive .*forget") as caught:
        reembed(filled, embedders[1])
    assert "\n" not in str(caught.value)
    assert answer(filled, embedders[0], "red") == before
    (filled.folder / "away").rename(drive)
    assert did(reembed(filled, embedders[1])) == {"renewed": 1, "same": 6, "switched": 1}
    use(filled, embedders[1]).check()


def test_forgotten_files_let_the_switch_go_on(filled: Desk, embedders):
    drive = filled.folder / "drive"
    filled.picture("x.png", 30, drive)
    filled.run(drive)
    shutil.rmtree(drive)
    with pytest.raises(CollectionError):
        reembed(filled, embedders[1])
    with filled.open() as collection:
        assert collection.forget(drive) == 1
    assert did(reembed(filled, embedders[1])) == {"same": 6, "switched": 1}


def test_what_was_gone_at_the_switch_is_embedded_when_it_returns(filled: Desk, embedders):
    (filled.media / "a.png").rename(filled.folder / "kept.png")
    filled.run()
    assert did(reembed(filled, embedders[1])) == {"renewed": 5, "switched": 1}
    (filled.folder / "kept.png").rename(filled.media / "a.png")
    summary = use(filled, embedders[1]).run()
    assert (summary.embedded, summary.same) == (1, 5)
    assert filled.did() == {"same": 6}


def test_the_same_model_with_other_frames(filled: Desk, embedders):
    assert len(filled.keys("album/clip.mp4")) == 3
    options = IndexOptions(reembed=True, sampling=Sampling.parse("every:500ms"))
    assert did(reembed(filled, embedders[0], options)) == {"renewed": 6, "switched": 1}
    assert len(filled.keys("album/clip.mp4")) == 6
    with filled.open() as collection:
        assert collection.manifest.sampling == options.sampling
        assert did(index(collection, embedders[0])) == {"same": 6}


def test_a_dry_run_begins_nothing(filled: Desk, embedders):
    summary = reembed(filled, embedders[1], IndexOptions(reembed=True, dry_run=True))
    assert did(summary) == {"renewed": 6}
    with filled.open() as collection:
        assert collection.building is None
        assert np.isfinite(collection.vectors(filled.keys("a.png"))).all()
