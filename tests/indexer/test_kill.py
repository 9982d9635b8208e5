"""Real processes that are stopped from outside: by Ctrl-C, and by SIGKILL in the middle of anything."""

import multiprocessing
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from indexer import IndexOptions, index
from retrieval.embedding import open_embedder
from retrieval.store import Collection
from tests.indexer.conftest import Desk, alone
from tests.media_makers import draw_picture, write_clip, write_picture

KILLS = 20
MANY_COMMITS = IndexOptions(jobs=1, commit_files=1, save_s=0.05)


def index_slowly(home: Path, media: Path, model: Path) -> None:
    """Index with as many commits and saves as possible; runs in a process of its own."""
    embedder = open_embedder(str(model), threads=1)
    embedder.batch_size = 3
    with Collection.open(home, write=True) if home.exists() else Collection.create(home, embedder.spec) as collection:
        index(collection, embedder, [media], MANY_COMMITS)


def committed(home: Path) -> int:
    """Return how many files the catalog holds, as another process sees it."""
    path = home / "catalog.sqlite"
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as catalog:
            return int(catalog.execute("SELECT count(*) FROM files").fetchone()[0])
    except sqlite3.Error:
        return 0  # it is being made


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures (two of them the same), 3 clips and a file that is no picture."""
    folder = tmp_path_factory.mktemp("kill") / "media"
    for seed in range(59):
        write_picture(folder / f"album {seed % 7}" / f"{seed}.jpg", draw_picture(seed, (160, 120)))
    shutil.copy(folder / "album 0" / "0.jpg", folder / "copy of 0.jpg")
    for number, colour in enumerate(("red", "green", "blue")):
        write_clip(folder / f"{number}.mp4", [(colour, 1.0), ("white", 1.0), ("black", 1.0)], size=(64, 48), fps=10)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def forks():
    """A process with everything imported, which begins others without loss of time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.indexer.test_kill", "faiss", "retrieval.store.catalog"])
    return context


def begin(forks, home: Path, media: Path, model: Path):
    """Begin to index in another process; return it once it has committed a file."""
    child = forks.Process(target=index_slowly, args=(home, media, model), daemon=True)
    child.start()
    while not committed(home) and child.is_alive():
        time.sleep(0.002)
    return child


def test_killed_at_any_moment_nothing_is_lost_or_doubled(forks, media: Path, models: list[Path], tmp_path, embedders):
    child = begin(forks, tmp_path / "whole", media, models[0])
    began_s = time.monotonic()
    child.join()
    lasts_s = time.monotonic() - began_s
    whole = contents(tmp_path / "whole")
    assert len(whole) == 64
    moments = random.Random(20)
    cut_short = []
    for number in range(3 * KILLS):
        home = tmp_path / f"killed {number}"
        child = begin(forks, home, media, models[0])
        time.sleep(moments.uniform(0, lasts_s))
        child.kill()
        child.join()
        if child.exitcode == -signal.SIGKILL:
            cut_short.append(committed(home))
            assert_recovers(home, media, embedders[0], whole)
        shutil.rmtree(home)
        if len(cut_short) == KILLS:
            break
    assert len(cut_short) == KILLS
    assert len(set(cut_short)) > KILLS // 4, "the moments are spread over the run"


def contents(home: Path) -> Counter[tuple[Path, str, int]]:
    """Return path, state and number of items of all files."""
    with Collection.open(home) as collection:
        return Counter((one.path, one.status, len(collection.frames(one.id).keys)) for one in collection.records())


def assert_recovers(home: Path, media: Path, embedder, whole: Counter[tuple[Path, str, int]]) -> None:
    """What was committed before the kill is sound, and the next run completes it."""
    with Collection.open(home, write=True) as collection:
        # the index is derived: a run that was killed before the first save leaves none
        assert {one.what for one in collection.verify()} <= {"vectors.faiss is missing"}
        before = {one.path: collection.frames(one.id).keys.tolist() for one in collection.records() if one.embedded}
        for record in collection.records():
            assert record.embedded or record.status == "failed"
        summary = index(collection, embedder)
        assert summary.same == len(before)
        assert collection.verify() == []
        for record in collection.records():
            found = collection.frames(record.id)
            assert before.get(record.path, found.keys.tolist()) == found.keys.tolist()
            if record.status == "ok":
                assert abs(found.vectors - alone(record.path, embedder)[1]).max() < 1e-3
    assert contents(home) == whole


CHILD = """
import sys
from pathlib import Path
from tests.indexer import test_kill
from retrieval.embedding import open_embedder
from retrieval.store import Collection
home, media, model = map(Path, sys.argv[1:])
embedder = open_embedder(str(model), threads=1)
embedder.batch_size = 3
with Collection.create(home, embedder.spec) as collection:
    summary = test_kill.index(collection, embedder, [media], test_kill.MANY_COMMITS)
    print(summary.interrupted, summary.added, len(collection.verify()))
"""


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.indexer import test_kill
from retrieval.embedding import open_embedder
from retrieval.errors import CollectionError
from retrieval.store import Collection
home, media, model = map(Path, sys.argv[1:])
embedder = open_embedder(str(model), threads=1)
with Collection.create(home, embedder.spec) as collection:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    try:
        test_kill.index(collection, embedder, [media], test_kill.MANY_COMMITS)
    except CollectionError as error:
        print(error)
"""


def test_a_full_disk_is_one_line_and_keeps_what_was_committed(desk: Desk, models: list[Path]):
    for seed in range(80):
        desk.picture(f"{seed}.png", seed)
    arguments = [sys.executable, "-c", FULL_DISK, desk.home, desk.media, models[0]]
    repository = Path(__file__).parents[2]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, cwd=repository, check=False)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
    assert "make room" in done.stdout
    kept = len(desk.present())
    assert 0 < kept < 80
    assert desk.did() == {"added": 80 - kept, "same": kept}


def test_ctrl_c_ends_the_run_in_order_and_the_next_goes_on(desk: Desk, models: list[Path]):
    for seed in range(120):
        desk.picture(f"{seed}.png", seed)
    arguments = [sys.executable, "-c", CHILD, desk.home, desk.media, models[0]]
    repository = Path(__file__).parents[2]
    with subprocess.Popen(
        list(map(str, arguments)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=repository,
    ) as child:
        while not committed(desk.home) and child.poll() is None:
            time.sleep(0.002)
        child.send_signal(signal.SIGINT)
        said, complaints = child.communicate(timeout=30)
    assert complaints == ""
    interrupted, added, problems = said.split()
    assert (child.returncode, interrupted, problems) == (0, "True", "0")
    assert 0 < int(added) < 120
    desk.check()
    assert desk.did() == {"added": 120 - int(added), "same": int(added)}
