"""New rows wait to be written together: the catalog has to be the same as if each were written at once."""

import contextlib
import itertools
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.store import Collection, Entry, waiting
from retrieval.store.writer import Writer
from retrieval.types import Details, FloatMatrix, Item, MediaInfo, Track
from tests.store.conftest import DIM, Maker

NAMES = tuple("abcd")
VECTORS = np.eye(DIM, dtype=np.float32)
TRACK = Track(np.array([0.0, 0.5]), np.zeros((2, 96), np.uint8), np.array([0.25]))
TABLES = ("files", "items", "keywords", "tracks", "removed", "words", "sources", "meta")

ACTS = ("put", "film", "fail", "move", "copy", "touch", "describe", "gone", "forget", "drop", "commit")

steps = st.lists(
    st.tuples(
        st.sampled_from(ACTS),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.integers(0, DIM - 2),
    ),
    max_size=14,
)  # fmt: skip


def vectors(first: int, count: int) -> FloatMatrix:
    return VECTORS[first : first + count]


class Acting:
    """Does a step, which may be impossible: both catalogs are then told so alike."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.source = writer.add_source(Path("/media")).id
        self.ids: dict[str, int] = {}

    def act(self, what: str, name: str, other: str, number: int) -> object:
        entry = Entry(Path(f"/media/{name}/BeachHouse.jpg"), number + 1, number + 1)
        elsewhere = Entry(Path(f"/media/{other}/BeachHouse.jpg"), number + 1, number + 1)
        picture = MediaInfo("image", 9, 9, None, None, "PNG", details=Details(keywords=(name, "sea"), told="a sea"))
        file = ord(name) - ord("a") + 1
        try:
            match what:
                case "put":
                    return list(self.writer.put(self.source, entry, picture, None, [Item()], vectors(number, 1)))
                case "film":
                    film = MediaInfo("video", 9, 9, 2.0, None, "mp4", track=TRACK)
                    items = [Item(0.0, 0.0, 1.0), Item(1.0, 1.0, 2.0)]
                    return list(self.writer.put(self.source, entry, film, b"film", items, vectors(number, 2)))
                case "fail":
                    return self.writer.put_failed(self.source, entry, "bad")
                case "move":
                    return self.writer.move(file, self.source, elsewhere)
                case "copy":
                    return list(self.writer.copy(file, self.source, elsewhere))
                case "touch":
                    return self.writer.touch(file, entry)
                case "describe":
                    return self.writer.describe(file, picture, [Item()])
                case "gone":
                    return self.writer.set_gone([file])
                case "forget":
                    return self.writer.forget(entry.path)
                case _:
                    return self.writer.drop_items([file])
        except KeyError:
            return "no such file"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection that holds nothing."""
    folder = tmp_path_factory.mktemp("empty") / "collection"
    Collection.create(folder, Maker.spec).close()
    return folder


def outcome(folder: Path, done: list[tuple[str, str, str, int]]) -> list[object]:
    """What the steps returned, and all rows that are there afterwards."""
    told: list[object] = []
    with Collection.open(folder, write=True) as made:
        for commit, group in itertools.groupby(done, lambda step: step[0] == "commit"):
            if not commit:
                with made.transaction() as writer:
                    acting = Acting(writer)
                    told += [acting.act(*step) for step in group]
    with sqlite3.connect(folder / "catalog.sqlite") as catalog:
        for table in TABLES:
            rows = catalog.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            told.append(len(rows) if table == "meta" else rows)  # meta holds the time and a drawn number
    return told


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=steps)
def test_waiting_changes_nothing_but_the_time(
    done: list[tuple[str, str, str, int]], empty: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("two")
    for name in ("at once", "waiting"):
        shutil.copytree(empty, place / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "MOST_FILES", 1)
        at_once = outcome(place / "at once", done)
    assert outcome(place / "waiting", done) == at_once


def test_more_files_than_wait_at_most(folder: Path, make: Maker) -> None:
    count = 2 * waiting.MOST_FILES + 3
    with Collection.create(folder, make.spec) as made, made.transaction() as writer:
        source = writer.add_source(Path("/media")).id
        keys = [
            int(writer.put(source, make.entry(f"/media/{number}.jpg"), make.picture, None, [Item()], make.unit(1))[0])
            for number in range(count)
        ]
    with Collection.open(folder) as again:
        assert sorted(keys) == list(range(1, count + 1))
        assert again.count() == count
        assert len(again.search(make.unit(1), count).keys[0]) == count


def test_what_waits_is_lost_with_its_transaction(collection: Collection, make: Maker) -> None:
    with contextlib.suppress(ZeroDivisionError), collection.transaction() as writer:
        source = writer.add_source(Path("/media")).id
        writer.put(source, make.entry("/media/a.jpg"), make.picture, None, [Item()], make.unit(1))
        raise ZeroDivisionError
    assert collection.count() == 0
