"""Several processes, and processes that die: locks, kills, full disks, versions, and what is imported."""

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import (
    CollectionCorrupt,
    CollectionError,
    CollectionLocked,
    CollectionNotFound,
    CollectionTooNew,
)
from retrieval.store import Collection
from retrieval.types import Item

WRITER = """
import sys
from pathlib import Path
import numpy as np
from retrieval.config import ModelSpec, Preprocessing
from retrieval.errors import CollectionNotFound
from retrieval.store import Collection, Entry
from retrieval.types import Item, MediaInfo

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
other = ModelSpec("other", 24, "1", Preprocessing(8, 8))
rng = np.random.default_rng(seed)
print("started", flush=True)
try:
    made = Collection.open(folder, write=True)
except CollectionNotFound:
    made = Collection.create(folder, ModelSpec("small", 16, "0", Preprocessing(8, 8)))
source = made.add_source(Path("/m"))
for round in range(10**6):
    with made.transaction() as writer:
        for _ in range(20):
            n = int(rng.integers(1, 5))
            model = made.building or made.manifest.spec
            rows = rng.standard_normal((n, model.dim)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            name = Path(f"/m/{rng.integers(0, 40)}.jpg")
            info = MediaInfo("image", n, n, None, None, "")
            writer.put(source.id, Entry(name, n, round), info, None, [Item()] * n, rows)
    print("round", flush=True)
    if round % 3 == 0:
        made.save_index()
    if round % 5 == 0:
        made.forget(Path(f"/m/{rng.integers(0, 40)}.jpg"))
    if round % 7 == 3:
        made.begin_reembed(other if made.manifest.spec.dim == 16 else ModelSpec("small", 16, "0", Preprocessing(8, 8)))
    if round % 7 == 6 and made.building:
        made.finish_reembed()
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_it_is_whole(child, folder, seed):
    moment = random.Random(seed)
    # The first dies while the collection is made or opened, the others some way into their rounds.
    for turn, rounds in enumerate((0, moment.randrange(1, 8), moment.randrange(1, 20))):
        process = child(WRITER, folder, 10 * seed + turn)
        for _ in range(rounds + 1):
            assert process.stdout.readline() in ("started\n", "round\n")
        time.sleep(moment.random() * (0.02 if rounds else 0.4))
        process.send_signal(signal.SIGKILL)
        assert process.communicate()[1] == ""
        try:
            opened = Collection.open(folder)
        except CollectionNotFound:
            assert not rounds
            continue
        with opened as reader:
            check_whole(reader)
    with Collection.open(folder, write=True) as writer:
        check_whole(writer)
        writer.verify(repair=True)
        assert writer.verify() == []
        assert not list(folder.glob("*.tmp"))


def check_whole(collection: Collection) -> None:
    problems = [found.what for found in collection.verify()]
    assert set(problems) <= {"vectors.faiss is missing", "manifest.json does not say what the catalog says"}
    dim = collection.manifest.spec.dim
    keys = collection.search(np.ones((1, dim), np.float32), 10**4).keys[0]
    keys = np.sort(keys[keys >= 0])
    held = [key for record in collection.records() for key in collection.frames(record.id).keys]
    assert keys.tolist() == sorted(held)
    assert collection.count() == len(keys)
    for record in collection.records():
        # All items of a file or none: it was put with as many as its size says.
        assert len(collection.frames(record.id).keys) in (0, record.size_bytes)
    assert collection.notes == []


def test_a_second_writer_is_told_who_holds_the_lock(child, filled):
    code = """
import sys
from pathlib import Path
from retrieval.errors import CollectionLocked
from retrieval.store import Collection
try:
    Collection.open(Path(sys.argv[1]), write=True)
except CollectionLocked as error:
    print(error)
with Collection.open(Path(sys.argv[1])) as reader:
    print(reader.count())
"""
    out, err = child(code, filled.folder).communicate()
    assert err == ""
    said, count = out.splitlines()
    assert f"process {os.getpid()} " in said
    assert count == "40"


def test_two_writers_in_one_process(filled):
    with pytest.raises(CollectionLocked):
        Collection.open(filled.folder, write=True)
    filled.close()
    Collection.open(filled.folder, write=True).close()


def test_a_dead_writer_holds_no_lock(child, filled):
    folder = filled.folder
    filled.close()
    code = """
import sys, time
from pathlib import Path
from retrieval.store import Collection
Collection.open(Path(sys.argv[1]), write=True)
print("open", flush=True)
time.sleep(60)
"""
    process = child(code, folder)
    assert process.stdout.readline() == "open\n"
    with pytest.raises(CollectionLocked, match=str(process.pid)):
        Collection.open(folder, write=True)
    process.kill()
    process.communicate()
    Collection.open(folder, write=True).close()


def test_reading_imports_neither_sqlalchemy_nor_alembic(child, filled):
    code = """
import sys
from pathlib import Path
import numpy as np
from retrieval.store import Collection
from retrieval.types import Term
with Collection.open(Path(sys.argv[1])) as reader:
    reader.stats(), list(reader.records()), reader.sources(), reader.building
    print("faiss" in sys.modules)
    assert reader.search(np.ones((1, 16), np.float32), 3, Term("kind", ":", "video")).keys[0, 0] > 30
print(sorted({"sqlalchemy", "alembic", "torch"} & set(sys.modules)))
with Collection.open(Path(sys.argv[2]), write=True) as writer:
    writer.add_source(Path("/x"))
print("sqlalchemy" in sys.modules, "alembic" in sys.modules)
"""
    filled.close()
    out, err = child(code, filled.folder, filled.folder).communicate()
    assert (out.split("\n"), err) == (["False", "[]", "True False", ""], "")


def older(folder: Path, make) -> None:
    """Turn a collection into one of the first schema, with what it held."""
    from retrieval.store import schema

    fresh = folder.with_name("first.sqlite")
    fresh.touch(0o600)
    engine = schema.open_engine(fresh)
    with engine.connect() as connection, connection.begin():
        schema.migrate(connection, "0001")
    engine.dispose()
    old = sqlite3.connect(fresh, isolation_level=None)
    old.execute("ATTACH ? AS new", (str(folder / "catalog.sqlite"),))
    for table in ("sources", "files", "models", "items", "removed", "meta"):
        columns = ", ".join(row[1] for row in old.execute(f"PRAGMA main.table_info({table})"))
        old.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    old.close()
    fresh.replace(folder / "catalog.sqlite")


@pytest.mark.parametrize("write", [False, True])
def test_an_older_collection_is_brought_up_to_date(filled, make, write):
    query = make.unit(1)
    expected = filled.search(query, 40)
    records = list(filled.records())
    found = filled.find_words(["media"])
    filled.close()
    older(filled.folder, make)
    with Collection.open(filled.folder, write=write) as opened:
        np.testing.assert_array_equal(opened.search(query, 40).keys, expected.keys)
        assert list(opened.records()) == [record._replace(seen=0) for record in records]  # to be read again
        assert opened.find_words(["media"]) == found
        assert len(found) == len(records)
        assert opened.verify() == []
    with Collection.open(filled.folder, write=True) as opened, opened.transaction() as writer:
        assert writer.put(1, make.entry("/media/n.jpg"), make.picture, None, [Item()], query).tolist() == [41]


def test_an_empty_older_collection(collection, make):
    collection.close()
    older(collection.folder, make)
    with Collection.open(collection.folder) as opened:
        assert opened.count() == 0
        assert opened.verify() == []


def test_migrations_end_at_the_present_schema(collection):
    """The tables as SQLAlchemy knows them are the tables as the steps make them."""
    from retrieval.store import opening, schema

    raw = sqlite3.connect(collection.folder / "catalog.sqlite")
    assert raw.execute("PRAGMA user_version").fetchone() == (opening.SCHEMA_VERSION,)
    for table in schema.TABLES.sorted_tables:
        made = {row[1]: bool(row[3] or row[5]) for row in raw.execute(f"PRAGMA table_info({table.name})")}
        assert made == {column.name: not column.nullable for column in table.columns}
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


def test_an_older_collection_that_is_being_written(child, filled, make):
    filled.close()
    older(filled.folder, make)
    from retrieval.store.lock import WriteLock

    lock = WriteLock(filled.folder / "lock")
    with pytest.raises(CollectionLocked):
        Collection.open(filled.folder)
    lock.release()
    Collection.open(filled.folder).close()


def test_a_newer_collection_is_left_alone(filled):
    filled.close()
    catalog = filled.folder / "catalog.sqlite"
    raw = sqlite3.connect(catalog)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    before = catalog.read_bytes()
    for write in (False, True):
        with pytest.raises(CollectionTooNew, match="update"):
            Collection.open(filled.folder, write=write)
    assert catalog.read_bytes() == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"this is no database at all, it only has its name" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: data[:100] + bytes(len(data) - 100),
        lambda data: bytes(16) + data[16:],
    ],
)
def test_a_damaged_catalog_is_said_in_one_line(filled, spoil):
    filled.close()
    catalog = filled.folder / "catalog.sqlite"
    catalog.write_bytes(spoil(catalog.read_bytes()))
    for write in (False, True):
        with pytest.raises(CollectionCorrupt, match="index again") as caught:
            Collection.open(filled.folder, write=write)
        assert "\n" not in str(caught.value)


def test_made_halfway_it_is_made_again(folder, make):
    folder.mkdir()
    for leftover in ("lock", "catalog.sqlite", "manifest.json.tmp"):
        (folder / leftover).touch()
    with pytest.raises(CollectionNotFound):
        Collection.open(folder)
    with Collection.create(folder, make.spec) as made:
        made.add_source(Path("/m"))
    # The catalog was committed, and the process died before it wrote the manifest.
    (folder / "manifest.json").unlink()
    with Collection.open(folder) as reader:
        assert reader.manifest.spec == make.spec
    Collection.open(folder, write=True).close()
    assert (folder / "manifest.json").exists()


def test_a_catalog_that_does_not_answer_counts_as_there(folder, make):
    """A disk that fails for a moment must not look like an empty folder: what is there would be made anew."""
    folder.mkdir()
    catalog, log = folder / "catalog.sqlite", folder / "catalog.sqlite-wal"
    catalog.symlink_to(catalog.name)  # ELOOP, for everyone
    log.write_bytes(b"what was committed last")
    for use in (lambda: Collection.create(folder, make.spec), lambda: Collection.open(folder)):
        with pytest.raises(CollectionError, match="see to the disk") as caught:
            use()
        assert not isinstance(caught.value, CollectionNotFound)
        assert "\n" not in str(caught.value)
    assert catalog.is_symlink()
    assert log.read_bytes() == b"what was committed last"


def test_a_database_of_something_else_is_left_alone(folder, make):
    folder.mkdir()
    foreign = sqlite3.connect(folder / "catalog.sqlite")
    foreign.execute("CREATE TABLE recipes (name)")
    foreign.close()
    before = (folder / "catalog.sqlite").read_bytes()
    with pytest.raises(CollectionError, match="something else; name another folder") as caught:
        Collection.create(folder, make.spec)
    assert str(folder) in str(caught.value)
    assert (folder / "catalog.sqlite").read_bytes() == before


def test_a_catalog_whose_making_was_cut_short_is_made_again(folder, make):
    folder.mkdir()
    begun = sqlite3.connect(folder / "catalog.sqlite")
    begun.execute("PRAGMA journal_mode = WAL")
    begun.close()
    assert (folder / "catalog.sqlite").stat().st_size
    Collection.create(folder, make.spec).close()


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from retrieval.errors import CollectionError
from retrieval.store import Collection, Entry
from retrieval.types import Item, MediaInfo

rng = np.random.default_rng(0)
made = Collection.open(Path(sys.argv[1]), write=True)
made.search(np.ones((1, 16), np.float32), 1)

def put(n):
    rows = rng.standard_normal((n, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with made.transaction() as writer:
        info = MediaInfo("video", 1, 1, 1.0, None, "")
        writer.put(1, Entry(Path("/media/big.mp4"), n, 1), info, None, [Item()] * n, rows)

def room(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

put(2000)
room(100_000)
for act in (made.save_index, lambda: put(3000)):
    try:
        act()
    except CollectionError as error:
        print(error)
    else:
        raise SystemExit("there was room")
print(made.count(), (made.search(np.ones((1, 16), np.float32), 9999).keys >= 0).sum())
room(resource.RLIM_INFINITY)
put(1000)
made.save_index()
made.close()
"""


def test_a_full_disk(child, filled):
    folder = filled.folder
    filled.close()
    out, err = child(FULL, folder).communicate()
    assert err == ""
    index, catalog, count = out.splitlines()
    assert "vectors.faiss" in index
    assert "room" in index
    assert "catalog.sqlite" in catalog
    assert "room" in catalog
    assert count == "2040 2040"
    with Collection.open(folder, write=True) as opened:
        assert opened.verify() == []
        assert opened.count() == 1040


def test_a_failed_save_keeps_the_old_file(child, filled):
    sound = (filled.folder / "vectors.faiss").read_bytes()
    folder = filled.folder
    filled.close()
    process = child(FULL.replace("room(resource.RLIM_INFINITY)", "sys.exit()"), folder)
    assert process.communicate()[1] == ""
    assert (folder / "vectors.faiss").read_bytes() == sound
    assert not list(folder.glob("*.tmp"))
    with Collection.open(folder) as opened:
        assert (opened.search(np.ones((1, 16), np.float32), 9999).keys >= 0).sum() == 2040


def test_searching_from_many_threads_while_one_writes(filled, make):
    stop = threading.Event()
    failures: list[BaseException] = []
    queries = make.unit(20)

    def search(number: int) -> None:
        try:
            while not stop.is_set():
                found = filled.search(queries[[number]], 5)
                assert (found.keys >= 0).all()
                assert (np.diff(found.scores[0]) <= 0).all()
                filled.count()
                next(filled.records())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(25):
        with filled.transaction() as writer:
            entry = make.entry(f"/media/{number % 5}.mp4")
            writer.put(1, entry, make.video, None, make.frames(8), make.unit(8))
        if number % 10 == 0:
            filled.save_index()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert filled.verify() == []
    assert (filled.search(queries, 100).keys >= 0).sum(axis=1).tolist() == [80] * 20


def test_a_copy_of_the_folder_is_a_collection(filled, make, tmp_path):
    filled.close()
    shutil.copytree(filled.folder, tmp_path / "odd ? # % name")
    with Collection.open(tmp_path / "odd ? # % name") as copy:
        assert copy.count() == 40
        assert copy.verify() == []


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(folder, make, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CollectionError, match="name another"):
        Collection.create(tmp_path / "file" / "collection", make.spec)
