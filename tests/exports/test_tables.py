"""Tables and vectors of hits and of whole collections."""

import csv
import io
import json
import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from retrieval.config import ModelSpec, Preprocessing
from retrieval.errors import CollectionError, OptionError
from retrieval.exports import gather_all, gather_hits, whole_files, write_csv, write_jsonl, write_npz, write_parquet
from retrieval.exports.gathered import Gathered
from retrieval.present import as_jsonl
from retrieval.query import parse_query, parse_where
from retrieval.store import Collection, Entry
from retrieval.types import Details, Hit, Hits, Item, MediaInfo

DIM = 16
ODD = os.fsdecode(b'/media/\xff "odd",\n.jpg')
SAID = Details("Box 1", 47.5, -8.25, 4, ("two words", "sea; side"), "A title,\nand more")
PICTURE = MediaInfo("image", 640, 480, None, "2024-05-01T12:30:00", "JPEG", SAID)
VIDEO = MediaInfo("video", 1920, 1080, 3.0, None, "mp4")


def unit(rng: np.random.Generator, n: int, dim: int = DIM) -> np.ndarray:
    rows = rng.standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return unit(np.random.default_rng(3), 5)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, vectors: np.ndarray) -> Iterator[Collection]:
    spec = ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))
    with Collection.create(tmp_path_factory.mktemp("tables") / "c", spec) as made:
        source = made.add_source(Path("/media"))
        frames = [Item(float(second), float(second), second + 1.0) for second in range(3)]
        with made.transaction() as writer:
            writer.put(source.id, Entry(Path("/media/z.mp4"), 1, 1), VIDEO, None, frames, vectors[2:])
            writer.put(source.id, Entry(Path("/media/a.jpg"), 1, 1), PICTURE, None, [Item()], vectors[:1])
            writer.put(source.id, Entry(Path(ODD), 1, 1), PICTURE, None, [Item()], vectors[1:2])
        yield made


@pytest.fixture(scope="module")
def hits(collection: Collection) -> Hits:
    film = collection.frames(collection.find_file(Path("/media/z.mp4")).id)
    odd = collection.find_item(Path(ODD))
    size = 1920, 1080
    found = (
        Hit(1, 0.9, "/media/z.mp4", "video", 0.0, 2.0, 1.0, "/media/z.mp4#t=1", *size, None, int(film.keys[1])),
        Hit(2, 0.123456789, ODD, "image", None, None, None, ODD, 640, 480, "2024-05-01T12:30:00", odd.key),
    )
    return Hits(parse_query("a dog"), found, 5)


def written(write, gathered: Gathered) -> bytes:
    file = io.BytesIO()
    write(file, gathered)
    return file.getvalue()


def loaded(gathered: Gathered) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(written(write_npz, gathered)), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive}


# --------------------------------------------------------------------------------------------------------- everything


def test_all_items_come_by_path_and_time(collection, vectors):
    found = loaded(gather_all(collection))
    assert [os.fsdecode(path) for path in found["paths"]] == ["/media/a.jpg", *["/media/z.mp4"] * 3, ODD]
    assert np.array_equal(found["vectors"], vectors[[0, 2, 3, 4, 1]])
    assert found["vectors"].dtype == np.float32
    assert found["at_s"].tolist()[1:4] == [0.0, 1.0, 2.0]
    assert found["end_s"].tolist()[1:4] == [1.0, 2.0, 3.0]
    assert np.isnan(found["start_s"][[0, 4]]).all()
    assert found["kinds"].tolist() == ["image", "video", "video", "video", "image"]
    assert found["widths"].tolist() == [640, 1920, 1920, 1920, 640]
    assert found["taken_at"].tolist() == ["2024-05-01T12:30:00", "", "", "", "2024-05-01T12:30:00"]
    assert np.array_equal(collection.vectors(found["keys"]), found["vectors"])
    assert not {"ranks", "scores"} & set(found)
    assert json.loads(str(found["about"])) == {"model": "small", "digest": "0" * 64}


def test_a_filter_narrows_them(collection):
    found = gather_all(collection, parse_where("kind:video"))
    assert found.count == 3
    assert len(loaded(found)["vectors"]) == 3
    assert [hit.path for hit in whole_files(collection, parse_where("kind:image"))] == ["/media/a.jpg", ODD]


def test_nothing_is_an_archive_too(collection):
    found = loaded(gather_all(collection, parse_where("width>99999")))
    assert found["vectors"].shape == (0, DIM)
    assert found["paths"].shape == (0,)
    assert written(write_csv, gather_all(collection, parse_where("width>99999"))).count(b"\n") == 1


def test_a_csv_of_everything_reads_back(collection):
    text = io.TextIOWrapper(
        io.BytesIO(written(write_csv, gather_all(collection))), "utf-8", newline="", errors="replace"
    )
    rows = list(csv.DictReader(text))
    assert [row["keywords"] for row in rows] == ["sea; side; two words", "", "", "", "sea; side; two words"]
    assert rows[0]["told"] == "A title,\nand more"
    assert [row["rating"] for row in rows] == ["4", "", "", "", "4"]


def test_whole_files_are_numbered_by_path(collection):
    found = list(whole_files(collection))
    assert [(hit.rank, hit.path, hit.start_s) for hit in found] == [
        (1, "/media/a.jpg", None),
        (2, "/media/z.mp4", None),
        (3, ODD, None),
    ]


def test_a_table_of_everything_has_no_ranks(collection):
    lines = [json.loads(line) for line in written(write_jsonl, gather_all(collection)).splitlines()]
    assert list(lines[0])[:9] == ["path", "kind", "start_s", "end_s", "at_s", "item", "width", "height", "taken_at"]
    assert {name: lines[0][name] for name in list(lines[0])[9:]} == {
        "size_bytes": 1,
        "duration_s": None,
        "camera": "Box 1",
        "latitude": 47.5,
        "longitude": -8.25,
        "rating": 4,
        "keywords": ["sea; side", "two words"],
        "told": "A title,\nand more",
    }
    assert (lines[1]["duration_s"], lines[1]["camera"], lines[1]["keywords"]) == (3.0, "", [])
    assert [line["item"] for line in lines[1:3]] == ["/media/z.mp4#t=0", "/media/z.mp4#t=1"]


# --------------------------------------------------------------------------------------------------------------- hits


def test_hits_are_the_same_in_every_table(collection, hits):
    gathered = gather_hits(collection, hits)
    lines = written(write_jsonl, gathered).decode("ascii").splitlines()
    assert lines == list(as_jsonl(hits))
    text = io.TextIOWrapper(io.BytesIO(written(write_csv, gathered)), "utf-8", errors="surrogateescape", newline="")
    rows = list(csv.DictReader(text))
    assert len(rows) == 2
    for row, line in zip(rows, lines, strict=True):
        said = {name: "" if value is None else str(value) for name, value in json.loads(line).items()}
        assert row == said


def test_the_bytes_of_a_name_survive_a_table(collection, hits):
    assert os.fsencode(ODD).replace(b'"', b'""') in written(write_csv, gather_hits(collection, hits))


def test_vectors_of_hits_are_those_of_their_best_frames(collection, hits, vectors):
    found = loaded(gather_hits(collection, hits))
    assert np.array_equal(found["vectors"], vectors[[3, 1]])
    assert found["ranks"].tolist() == [1, 2]
    assert found["scores"].tolist() == pytest.approx([0.9, 0.123457])
    assert [os.fsdecode(path) for path in found["paths"]] == ["/media/z.mp4", ODD]
    assert json.loads(str(found["about"]))["query"] == "a dog"


def test_an_archive_is_the_same_twice(collection, hits):
    assert written(write_npz, gather_hits(collection, hits)) == written(write_npz, gather_hits(collection, hits))


def test_parquet_holds_rows_and_vectors(collection, hits, vectors):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(written(write_parquet, gather_hits(collection, hits))))
    rows = table.to_pylist()
    assert [row["rank"] for row in rows] == [1, 2]
    assert np.array_equal(np.array([row["vector"] for row in rows], np.float32), vectors[[3, 1]])
    assert rows[1]["path_bytes"] == os.fsencode(ODD)
    assert rows[1]["path"] == '/media/\ufffd "odd",\n.jpg'
    assert rows[0]["at_s"] == 1.0
    assert rows[1]["at_s"] is None
    assert json.loads(table.schema.metadata[b"sightseek"])["model"] == "small"
    everything = parquet.read_table(io.BytesIO(written(write_parquet, gather_all(collection))))
    assert everything.num_rows == 5
    assert "rank" not in everything.column_names
    first = everything.to_pylist()[0]
    assert (first["keywords"], first["latitude"], first["size_bytes"]) == (["sea; side", "two words"], 47.5, 1)


def test_without_pyarrow_a_line_says_what_to_install(collection, hits, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OptionError, match=r"pip install 'sightseek\[export\]'"):
        written(write_parquet, gather_hits(collection, hits))


# ------------------------------------------------------------------------------------------------------ large, changing


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """A hundred videos of a hundred frames: 10,000 vectors of 256 numbers, 10 MB."""
    rng = np.random.default_rng(4)
    spec = ModelSpec("small", 256, "0" * 64, Preprocessing(8, 8))
    frames = [Item(float(second), float(second), second + 1.0) for second in range(100)]
    with Collection.create(tmp_path_factory.mktemp("large") / "c", spec) as made:
        source = made.add_source(Path("/media"))
        with made.transaction() as writer:
            for number in range(100):
                entry = Entry(Path(f"/media/{number:04}.mp4"), 1, 1)
                writer.put(source.id, entry, VIDEO, None, frames, unit(rng, 100, 256))
        yield made


@pytest.mark.parametrize("write", [write_npz, write_csv, write_jsonl, write_parquet])
def test_memory_does_not_grow_with_the_collection(large, tmp_path, write):
    if write is write_parquet:
        pytest.importorskip("pyarrow")
    with (tmp_path / "warm").open("wb") as file:  # what is imported at the first use
        write(file, gather_all(large, parse_where("path:0000.mp4")))
    seen = []
    with (tmp_path / "out").open("wb") as file:
        tracemalloc.start()
        try:
            gathered = gather_all(large)
            gathered.progress = lambda done, total: seen.append((done, total))
            write(file, gathered)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert seen[-1] == (10_000, 10_000)
    assert len(seen) == 10
    assert peak < 7_000_000
    if write is write_npz:
        with np.load(tmp_path / "out") as archive:
            assert archive["vectors"].shape == (10_000, 256)
            assert np.array_equal(large.vectors(archive["keys"][9_990:]), archive["vectors"][9_990:])


def test_an_item_that_is_removed_meanwhile_is_said(collection, tmp_path):
    spec = ModelSpec("small", DIM, "0" * 64, Preprocessing(8, 8))
    with Collection.create(tmp_path / "c", spec) as made:
        source = made.add_source(Path("/media"))
        with made.transaction() as writer:
            vector = unit(np.random.default_rng(5), 1)
            writer.put(source.id, Entry(Path("/media/a.jpg"), 1, 1), PICTURE, None, [Item()], vector)
        gathered = gather_all(made)
        made.forget(Path("/media/a.jpg"))
        with pytest.raises(CollectionError, match="changed while"):
            written(write_npz, gathered)
