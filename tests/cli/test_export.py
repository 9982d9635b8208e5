"""``sightseek export`` as a user calls it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.config import Sampling
from retrieval.media import open_media
from tests.cli.conftest import REPOSITORY, Library, run, run_process
from tests.media_makers import write_clip
from tests.page_reader import Page


def export(library: Library, *arguments: str | Path, code: int = 0) -> tuple[list[bytes], str]:
    """Run the command; return the paths it printed and what it said."""
    ran = run_process("export", *arguments, "-c", library.collection)
    assert ran.returncode == code, ran.stderr
    return ran.stdout.splitlines(), ran.stderr.decode()


def test_hits_are_copied_to_a_folder(prepared: Library, tmp_path: Path) -> None:
    out = tmp_path / "out"
    paths, said = export(prepared, "red", "--where", "kind:image", "-k", "3", "--out", out)
    assert [Path(os.fsdecode(path)).parent for path in paths] == [out] * 3
    assert paths[0] == os.fsencode(out / "1 red.png")
    assert (out / "1 red.png").read_bytes() == (prepared.media / "red.png").read_bytes()
    assert f"3 files in {out}" in said
    again, _ = export(prepared, "red", "--where", "kind:image", "-k", "1", "--out", out)
    assert again == [os.fsencode(out / "1 red (2).png")]


def test_paths_end_with_nul_when_asked(prepared: Library, tmp_path: Path) -> None:
    ran = run_process(
        "export", "red", "-k", "2", "--as", "link", "--out", tmp_path / "o", "-0", "-c", prepared.collection
    )
    names = ran.stdout.split(b"\0")
    assert names[-1] == b""
    assert all(Path(os.fsdecode(name)).is_symlink() for name in names[:-1])
    assert len(names) == 3


def test_the_options_of_a_search_choose(prepared: Library, tmp_path: Path) -> None:
    arguments = ["0.5:red", "--like", prepared.media / "blue.png", "--minus", "2:red", "-k", "2", "--offset", "1"]
    wanted = run("search", *arguments, "--format", "jsonl", "-c", prepared.collection).out
    export(prepared, *arguments, "--out", tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text() == wanted


def test_the_ending_decides(prepared: Library, tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.ndjson", "a.parquet", "a.npz", "a.html", "a.jpg", "a.PNG"):
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        paths, _ = export(prepared, "red", "-k", "4", "--out", tmp_path / name)
        assert paths == [os.fsencode(tmp_path / name)]
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [row["rank"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 4
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "a.ndjson").read_bytes()
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["vectors"].shape == (4, 64)
    assert len(Page((tmp_path / "a.html").read_text()).all("img")) == 4
    for name, form in (("a.jpg", "JPEG"), ("a.PNG", "PNG")):
        with Image.open(tmp_path / name) as sheet:
            assert sheet.format == form


def test_everything_without_a_query(prepared: Library, tmp_path: Path) -> None:
    export(prepared, "--all", "--out", tmp_path / "all.npz")
    status = json.loads(run("status", "--format", "json", "-c", prepared.collection).out)
    with np.load(tmp_path / "all.npz") as archive:
        assert len(archive["vectors"]) == status["items"]
    lines, _ = export(prepared, "--all", "--where", "ext:jpg", "--as", "jsonl", "--out", "-")
    assert [Path(json.loads(line)["path"]).name for line in lines] == ["drawing 1.jpg", "drawing 2.jpg"]
    paths, _ = export(prepared, "--all", "--where", "ext:jpg", "--as", "copy", "--out", tmp_path / "drawn")
    assert [Path(os.fsdecode(path)).name for path in paths] == ["1 drawing 1.jpg", "2 drawing 2.jpg"]


def test_everything_needs_no_model(prepared: Library, tmp_path: Path) -> None:
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted({n.split('.')[0] for n in sys.modules}), file=sys.stderr))\n"
        "from retrieval.cli import app\n"
        "app()"
    )
    command = [sys.executable, "-c", program, "export", "--all", "--out", tmp_path / "a.csv", "-c", prepared.collection]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    )
    assert not set(eval(ran.stderr.splitlines()[-1])) & {"onnxruntime", "torch", "faiss", "PIL", "av", "sqlalchemy"}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, prepared: Library) -> Library:
    """A library of one film whose only keyframes are far before its last shot."""
    root = tmp_path_factory.mktemp("film")
    made = Library(root / "media", root / "collection", prepared.model)
    shots = [("red", 3.0), ("blue", 3.0)]
    write_clip(made.media / "film.mp4", shots, fps=10, keyframe_every=25, sound=True)
    ran = run("index", made.media, "-c", made.collection, "--model", made.model)
    assert ran.code == 0, ran.err
    return made


def shown(path: bytes) -> list[str]:
    with open_media(Path(os.fsdecode(path)), Sampling("all"), 64) as media:
        return [["red", "green", "blue"][int(sample.pixels[30, 40].argmax())] for sample in media]


def test_moments_are_cut_to_clips(film: Library, tmp_path: Path) -> None:
    (path,), said = export(film, "blue", "-k", "1", "--as", "clip", "--out", tmp_path / "copied")
    colours = shown(path)
    assert colours[0] == "red"  # from the keyframe at 2.5 s on
    assert set(colours[5:]) == {"blue"}
    assert "keyframe before" in said
    assert "--exact" in said
    (path,), said = export(film, "blue", "-k", "1", "--as", "clip", "--exact", "--out", tmp_path / "exact")
    assert set(shown(path)) == {"blue"}
    assert "keyframe" not in said


def test_a_sheet_of_one_moment_shows_its_frames(film: Library, tmp_path: Path) -> None:
    export(film, "blue", "-k", "1", "--out", tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    blue = (pixels[..., 2] > 200) & (pixels[..., 0] < 60)
    assert blue.sum() > 3 * 160 * 120  # several pictures, not one


def test_a_file_that_is_there_stays_unless_forced(prepared: Library, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("mine")
    ran = run("export", "red", "--out", out, "-c", prepared.collection)
    assert ran.code == 2
    assert "--force" in ran.err
    assert out.read_text() == "mine"
    export(prepared, "red", "--out", out, "--force")
    assert out.read_text().startswith("rank,score")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["red"], "--out"),
        (["--all", "red", "--out", "a.csv"], "--all"),
        (["--all", "--like", "red.png", "--out", "a.csv"], "--all"),
        (["--all", "--as", "clip", "--out", "a"], "clip"),
        (["--all", "--out", "a.html"], "html"),
        (["red", "--exact", "--out", "a"], "--as clip"),
        (["red", "--out", "-"], "csv"),
        (["red", "--as", "npz", "--out", "-"], "csv"),
        (["red", "--out", "none/a.csv"], "none"),
        (["red", "--as", "csv", "--out", "."], "cannot be written"),
        (["red", "--as", "copy", "--out", "file"], "folder"),
        (["red", "--as", "sheet", "--out", "a.gif"], ".png"),
        (["--out", "a.csv"], ""),
        (["red", "--out", ""], "empty"),
        (["red", "--as", "xml", "--out", "a"], ""),
        (["red", "--where", "size>>3", "--out", "a.csv"], "size"),
    ],
)
def test_wrong_usage_says_what_to_do(
    prepared: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    ran = run("export", *arguments, "-c", prepared.collection)
    assert ran.code == 2, ran.err
    assert words in ran.err
    assert ran.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    if ran.err.startswith("sightseek:"):
        assert len(ran.err.splitlines()) == 1


def test_nothing_found_writes_nothing(prepared: Library, tmp_path: Path) -> None:
    paths, said = export(prepared, "red", "--where", "width>99999", "--out", tmp_path / "a.csv")
    assert paths == []
    assert "nothing found" in said
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_away_is_listed(library: Library, tmp_path: Path) -> None:
    (library.media / "red.png").unlink()
    paths, said = export(library, "red", "--where", "kind:image", "-k", "3", "--out", tmp_path / "out", code=3)
    assert len(paths) == 2
    assert f"could not read {library.media / 'red.png'}: no such file" in said


def test_a_folder_inside_a_source_is_noted(library: Library) -> None:
    _, said = export(library, "red", "-k", "1", "--out", library.media / "best")
    assert "the next index takes in" in said


def test_a_broken_pipe_is_quiet(prepared: Library) -> None:
    command = (
        f"{sys.executable} -m retrieval export --all --as csv --out - -c '{prepared.collection}' | head -n 0;"
        f"{sys.executable} -m retrieval export --all --as jsonl --out - -c '{prepared.collection}' | head -n 1"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False, env=environment)
    assert b"Traceback" not in ran.stderr
    assert b"BrokenPipe" not in ran.stderr


def test_a_full_disk_is_one_line(prepared: Library) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    arguments = ["export", "--all", "--as", "csv", "--out", "-", "-c", prepared.collection]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "retrieval", *map(str, arguments)]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert b"make room" in ran.stderr


def test_ctrl_c_leaves_only_whole_files(library: Library, tmp_path: Path) -> None:
    shots = [(lambda t: Image.effect_noise((640, 480), 80 + t).convert("RGB"), 8.0)]
    write_clip(library.media / "long.mp4", shots, fps=20, size=(640, 480))
    assert run("index", library.media, "-c", library.collection).code == 0
    out = tmp_path / "out"
    arguments = ["export", "grey", "--where", "path:long.mp4", "--as", "clip", "--exact", "--out", str(out)]
    started = subprocess.Popen(
        [sys.executable, "-m", "retrieval", *arguments, "-c", str(library.collection)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    began = time.monotonic()
    while not (out.exists() and any(out.glob(".sightseek-*"))):
        assert time.monotonic() - began < 60
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert b"Traceback" not in said
    assert not any(out.glob(".*"))
