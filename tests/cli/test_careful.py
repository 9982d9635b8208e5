"""What careless calls, changed surroundings and signals lead to."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import REPOSITORY, Library, run, run_process
from tests.media_makers import draw_picture, write_picture
from tests.model_makers import write_tiny_model


def started(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "retrieval", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


@pytest.mark.parametrize(
    "arguments",
    [["--device", "abacus"], ["--frames", "sometimes"], ["--exclude", "!"], ["--jobs", "-1"]],
    ids=lambda arguments: arguments[0],
)
def test_values_that_make_no_sense_are_wrong_usage(library: Library, arguments: list[str]) -> None:
    ran = run("index", library.media, "-c", library.collection, *arguments)
    assert ran.code == 2, ran.err


@pytest.mark.parametrize("name", ["SIGHTSEEK_JOBS", "SIGHTSEEK_BATCH"])
@pytest.mark.parametrize("number", ["-1", "many", "1.5"])
def test_wrong_numbers_in_the_environment_are_said(
    library: Library, name: str, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, number)
    ran = run("index", "-c", library.collection)
    assert ran.code == 2
    assert name in ran.err


def test_the_command_line_overrides_the_settings_file(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval.cli.options import settings_for

    (tmp_path / "settings.toml").write_text('device = "cuda"\ncollection = "/elsewhere"\n')
    monkeypatch.setenv("SIGHTSEEK_SETTINGS", str(tmp_path / "settings.toml"))
    assert settings_for(None).device == "cuda"
    assert settings_for(library.collection, "auto").device == "auto"
    assert settings_for(library.collection).collection == library.collection


def test_forget_understands_relative_paths(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(library.media / "drawn")
    ran = run("forget", "../red.png", "-c", library.collection)
    assert ran.code == 0, ran.err
    assert "1 file " in ran.err


def test_a_model_folder_that_moved_can_be_named_anew(library: Library, tmp_path: Path) -> None:
    first = shutil.copytree(library.model, tmp_path / "first")
    collection = tmp_path / "other collection"
    assert run("index", library.media, "-c", collection, "--model", first).code == 0
    second = first.rename(tmp_path / "second")
    assert run("search", "red", "-c", collection).code == 1
    ran = run("index", "-c", collection, "--model", second)
    assert ran.code == 0, ran.err
    assert "0 files embedded" in ran.err
    assert run("search", "red", "-c", collection).code == 0


def test_verify_needs_no_lock_to_look(library: Library) -> None:
    import fcntl

    with (library.collection / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run("verify", "-c", library.collection).code == 0
        assert run("verify", "--repair", "-c", library.collection).code == 1


def test_a_closed_stdout_is_no_traceback(library: Library) -> None:
    command = f"{sys.executable} -m retrieval forget '{library.media}/red.png' -c '{library.collection}' >&-"
    ran = subprocess.run(
        ["bash", "-c", command], capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert b"Traceback" not in ran.stderr


def test_words_that_are_not_utf8(prepared: Library) -> None:
    for arguments in (["caf\udce9"], ["red", "--where", "path:caf\udce9*"]):
        ran = run_process("search", *map(os.fsencode, arguments), "-c", prepared.collection)  # type: ignore[arg-type]
        assert b"Traceback" not in ran.stderr, ran.stderr


def test_watching_embeds_what_is_new_and_nothing_twice(library: Library, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", seed=5)
    process = started("index", "-c", library.collection, "--model", other, "--reembed", "--watch")
    try:
        assert process.stderr is not None
        lines = []
        for raw in process.stderr:
            lines.append(raw.decode())
            if "watching for changes" in lines[-1]:
                break
        time.sleep(1.0)
        write_picture(library.media / "late.png", draw_picture(77))
        for raw in process.stderr:
            lines.append(raw.decode())
            if "1 added" in lines[-1]:
                break
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[1].decode()
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, rest
    assert sum("embedded anew" in line for line in lines) == 1
    assert run("verify", "-c", library.collection).code == 0


def test_ctrl_c_stops_in_order_and_says_so(library: Library, tmp_path: Path) -> None:
    for seed in range(300):
        write_picture(tmp_path / "many" / f"{seed}.png", draw_picture(seed, (640, 480)))
    process = started("index", tmp_path / "many", "-c", library.collection, "--jobs", "1")
    assert process.stderr is not None
    assert b"collection" in process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert "Traceback" not in said
    if process.returncode == 130:
        assert "go on from here" in said
    else:
        assert process.returncode == 0, said
    assert run("index", "-c", library.collection).code == 0
    assert run("verify", "-c", library.collection).code == 0


def test_a_signal_amid_a_message_does_no_harm() -> None:
    program = """
import signal
from retrieval.cli.options import say, say_at_once
signal.signal(signal.SIGALRM, lambda number, frame: say_at_once("at once"))
signal.setitimer(signal.ITIMER_REAL, 0.5)
for number in range(20_000):
    say(f"line {number}")
"""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, env=buffered) as process:
        time.sleep(2.0)  # the pipe is full by now, so that the signal found a message half written
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0, said[-500:]
    assert "at once" in said
    assert "line 19999" in said


def test_an_empty_path_is_not_the_current_folder(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(library.media)
    assert run("index", "", "-c", library.collection).code == 2
    assert run("index", library.media, "-c", "").code == 2
    assert not (library.media / "catalog.sqlite").exists()
    assert run("index", ".", "-c", library.collection).code == 0


def test_a_device_is_no_source(library: Library) -> None:
    assert run("index", "/dev/null", "-c", library.collection).code == 2


def test_an_empty_collection_is_said(prepared: Library, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run("index", tmp_path / "empty", "-c", tmp_path / "c", "--model", prepared.model)
    ran = run("search", "red", "-c", tmp_path / "c")
    assert ran.code == 0
    assert "empty" in ran.err


def test_forgetting_inside_a_source_says_that_it_comes_back(library: Library) -> None:
    assert "comes back" in run("forget", library.media / "red.png", "-c", library.collection).err
    assert "comes back" not in run("forget", library.media, "-c", library.collection).err


def test_output_that_cannot_be_written_is_one_line(prepared: Library) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    command = f"{sys.executable} -m retrieval search red -c '{prepared.collection}' >/dev/full"
    ran = subprocess.run(
        ["bash", "-c", command], capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1, ran.stderr


def test_names_are_printed_whatever_the_encoding(library: Library) -> None:
    write_picture(library.media / "狗.png", draw_picture(5))
    run("index", "-c", library.collection)
    for fmt in ("table", "paths", "jsonl"):
        ran = run_process(
            "search", "red", "-k", "50", "-c", library.collection, "--format", fmt, PYTHONIOENCODING="latin1"
        )
        assert ran.returncode == 0, ran.stderr
        assert len(ran.stdout.splitlines()) >= 12


def test_doctor_notices_a_damaged_index(library: Library) -> None:
    os.truncate(library.collection / "vectors.faiss", 100)
    ran = run("doctor", "-c", library.collection)
    assert ran.code == 1
    assert "--repair" in ran.out
