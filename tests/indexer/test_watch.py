"""Following real changes of real folders."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import watchfiles

from indexer import IndexOptions, Summary, index, watch
from retrieval.errors import ModelMismatch
from retrieval.store import Collection
from tests.indexer.conftest import Desk, did

PATIENCE_S = 30.0


class Follower:
    """A watch that runs in a thread of its own."""

    def __init__(self, collection: Collection, desk: Desk) -> None:
        self.rounds: list[Summary] = []
        self.troubles: list[str] = []
        self.ended = threading.Event()
        self.failure: BaseException | None = None
        self.stop = threading.Event()
        self.collection = collection
        self._desk = desk
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    def _follow(self) -> None:
        try:
            for summary in watch(
                self.collection,
                self._desk.embedder,
                IndexOptions(jobs=1),
                stop=self.stop.is_set,
                trouble=self.troubles.append,
                look_s=0.3,
            ):
                self.rounds.append(summary)
        except BaseException as error:
            self.failure = error
        finally:
            self.ended.set()

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true."""
        end_s = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < end_s, (self.rounds, self.troubles)
            assert not self.ended.is_set(), self.failure
            time.sleep(0.02)

    def total(self, name: str) -> int:
        return sum(getattr(summary, name) for summary in list(self.rounds))


@contextmanager
def following(desk: Desk) -> Iterator[Follower]:
    with desk.open() as collection:
        follower = Follower(collection, desk)
        try:
            yield follower
        finally:
            follower.stop.set()
            follower.thread.join(PATIENCE_S)
        assert not follower.thread.is_alive()
        assert follower.failure is None
    desk.check()


@pytest.fixture
def ready(filled: Desk) -> Desk:
    """A desk on which the first round of a watch finds one new file, so that its end can be seen."""
    filled.picture("before.png", 9)
    return filled


def test_changes_are_followed(ready: Desk):
    with following(filled := ready) as follower:
        follower.until(lambda: follower.total("added") == 1)
        filled.picture("sub/new.png", 10)
        follower.until(lambda: follower.total("added") == 2)
        (filled.media / "a.png").rename(filled.media / "sub" / "a.png")
        follower.until(lambda: follower.total("moved") == 1)
        (filled.media / "b.png").unlink()
        follower.until(lambda: follower.total("gone") == 1)
        filled.picture("album/c.png", 11)
        follower.until(lambda: follower.total("changed") == 1)
        (filled.media / "album").rename(filled.media / "renamed")
        follower.until(lambda: follower.total("moved") >= 5)
        assert all(summary.changes for summary in follower.rounds)
        assert follower.troubles == []
    assert filled.did() == {"same": 7}


def test_nothing_happens_without_a_change(desk: Desk):
    desk.home = desk.media / "collection"  # whose own files change with each run
    desk.picture("a.png", 1)
    with Collection.create(desk.home, desk.embedder.spec) as collection:
        index(collection, desk.embedder, [desk.media])
    desk.picture("before.png", 9)
    with following(desk) as follower:
        follower.until(lambda: follower.total("added") == 1)
        desk.picture("b.png", 2)
        follower.until(lambda: follower.total("added") == 2)
        (desk.media / "notes.txt").write_text("not a picture")
        time.sleep(1.5)
        assert len(follower.rounds) == 2


def test_a_source_goes_and_comes(filled: Desk):
    filled.media.rename(filled.folder / "away")
    with following(filled) as follower:
        follower.until(lambda: any(source.offline for source in follower.collection.sources()))
        (filled.folder / "away").rename(filled.media)
        filled.picture("new.png", 12)
        follower.until(lambda: follower.total("added") == 1)
        filled.media.rename(filled.folder / "away")
        follower.until(lambda: any(source.offline for source in follower.collection.sources()))
        (filled.folder / "away").rename(filled.media)
        follower.until(lambda: not any(source.offline for source in follower.collection.sources()))
        filled.picture("newer.png", 13)
        follower.until(lambda: follower.total("added") == 2)
    assert filled.did() == {"same": 8}


def test_an_error_in_a_round_is_told_and_tried_again(ready: Desk):
    other = replace(ready.embedder.spec, digest="0" * 64, name="other")
    with following(ready) as follower:
        follower.until(lambda: follower.total("added") == 1)
        follower.collection.begin_reembed(other)  # no round can do anything until this is taken back
        ready.picture("new.png", 14)
        follower.until(lambda: bool(follower.troubles))
        follower.collection.cancel_reembed()
        follower.until(lambda: follower.total("added") == 2)
        assert all("other" in line and "\n" not in line for line in follower.troubles)


def test_where_the_system_cannot_watch_the_sources_are_walked(ready: Desk, monkeypatch):
    def refuse(*paths: object, **options: object) -> Iterator[None]:
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(watchfiles, "watch", refuse)  # as when the limit of watched folders is reached
    with following(ready) as follower:
        follower.until(lambda: follower.total("added") == 1)
        ready.picture("new.png", 15)
        follower.until(lambda: follower.total("added") == 2)
        assert "cannot watch" in follower.troubles[0]


def test_the_first_round_raises(filled: Desk, embedders):
    with filled.open() as collection, pytest.raises(ModelMismatch):
        next(watch(collection, embedders[1]))


def test_a_watch_that_is_stopped_ends(filled: Desk):
    with filled.open() as collection:
        assert list(watch(collection, filled.embedder, stop=lambda: True)) == []
        began_s = time.monotonic()
        calls = iter([False] * 12)
        assert [did(summary) for summary in watch(collection, filled.embedder, stop=lambda: next(calls, True))] == []
        assert time.monotonic() - began_s < 10
