"""What a machine is measured to do, and what is advised."""

import json
import time
from pathlib import Path

import pytest

from indexer import index
from retrieval.bench import Figures, Pace, advice, measure
from retrieval.embedding import open_embedder
from retrieval.errors import CollectionError
from retrieval.store import Collection
from tests.cli.conftest import run
from tests.media_makers import draw_picture, write_picture
from tests.model_makers import write_tiny_model

BALANCED = Figures(
    items=1000,
    kind="flat",
    recall=1.0,
    processors=2,
    encoding=Pace(100, 1.0, 1.0),
    decoding=Pace(100, 1.0, 1.0),
    embedding=Pace(98, 1.0, 1.9),
    text_s=0.01,
    median_s=0.001,
    slow_s=0.002,
    cold_s=0.6,
)


@pytest.fixture
def library(tmp_path: Path) -> Collection:
    media = tmp_path / "media"
    media.mkdir()
    for seed in range(3):
        write_picture(media / f"{seed}.png", draw_picture(seed))
    model = write_tiny_model(tmp_path / "model")
    embedder = open_embedder(str(model))
    collection = Collection.create(tmp_path / "collection", embedder.spec)
    index(collection, embedder, [media])
    return collection


def test_it_measures_each_part_and_writes_nothing(library: Collection) -> None:
    before = {path: path.stat().st_mtime_ns for path in library.folder.iterdir() if path.suffix != ".sqlite-shm"}
    began_s = time.perf_counter()
    figures = measure(library, open_embedder(library.manifest.spec.name), seconds=2.0)
    assert time.perf_counter() - began_s < 60
    assert figures.items == 3
    assert figures.kind == "flat"
    assert figures.decoding.pictures == 3
    for pace in (figures.encoding, figures.decoding, figures.embedding):
        assert pace.pictures > 0
        assert pace.wall_s > 0
        assert pace.processor_s > 0
    assert figures.limit == pytest.approx(figures.processors / (figures.decoding.each_s + figures.encoding.each_s))
    assert 0 < figures.median_s <= figures.slow_s
    assert figures.text_s > 0
    assert figures.cold_s > 0.05
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_without_its_files_it_says_what_to_do(library: Collection, tmp_path: Path) -> None:
    (tmp_path / "media").rename(tmp_path / "elsewhere")
    with pytest.raises(CollectionError, match="can be read now; connect its drive"):
        measure(library, open_embedder(library.manifest.spec.name), seconds=1.0)


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "more processors would help", "waits"),
        ({"decoding": Pace(100, 4.0, 8.0)}, "bound by decoding (89% of the work)", "bound by the model"),
        ({"encoding": Pace(100, 4.0, 8.0)}, "bound by the model (89% of the work)", "bound by decoding"),
        ({"encoding": Pace(100, 4.0, 8.0)}, "in eight bits: sightseek models export", "bound by decoding"),
        ({"encoding": Pace(1000, 20.0, 40.0)}, "bound by the model", "eight bits"),
        ({"embedding": Pace(30, 1.0, 0.6)}, "busy only 30% of the time", "--index"),
        ({"median_s": 0.2}, "sightseek index --index auto", "--index flat"),
        ({"kind": "ivfpq", "recall": 0.95}, "finds 95.0% of the ten nearest", "--index auto"),
    ],
)
def test_what_limits_it_is_said(changes: dict[str, object], said: str, unsaid: str) -> None:
    lines = "\n".join(advice(BALANCED._replace(**changes)))
    assert said in lines
    assert unsaid not in lines


def test_efficiency_is_against_all_processors() -> None:
    assert BALANCED.limit == pytest.approx(100)
    assert BALANCED.efficiency == pytest.approx(0.98)


def test_the_command_prints_what_was_measured(library: Collection) -> None:
    library.close()
    ran = run("bench", "-c", str(library.folder), "--seconds", "1", "--format", "json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["items"] == 3
    assert found["indexing"]["rate"] > 0
    assert found["advice"]
    table = run("bench", "-c", str(library.folder), "--seconds", "1")
    assert [line.split("  ")[0] for line in table.out.splitlines()[:3]] == ["model", "items", "model only"]
    missing = run("bench", "-c", str(library.folder / "none"))
    assert missing.code == 1
    assert missing.err.startswith("sightseek: no collection in")
