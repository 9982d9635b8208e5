"""The page of help that is kept: it is what Typer prints, and printing it imports next to nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.help_page import NAME, WIDTHS, page_file
from retrieval.spoken import LANGUAGES
from tests.help_pages import REPOSITORY, as_typer_prints, page

UTF_8 = {"PYTHONIOENCODING": "utf-8"}
AS_SCRIPT = "import sys; sys.argv[0] = '/usr/bin/sightseek'; from retrieval.__main__ import main; main()"
AS_MODULE = "import runpy; runpy.run_module('retrieval', run_name='__main__', alter_sys=True)"


def ran(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, check=False, env=whole(environment))


def whole(environment: dict[str, str]) -> dict[str, str]:
    held = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return {**held, "PYTHONPATH": str(REPOSITORY), **environment}


def imported(program: str, *arguments: str, **environment: str) -> set[str]:
    """Return the modules that are loaded when the program ends, without those of a Python that does nothing."""
    told = "import sys, atexit; atexit.register(lambda: print('\\n', *sys.modules));"
    loaded = ran(f"{told} {program}", *arguments, **environment).stdout.split(b"\n")[-2].split()
    return {name.decode() for name in loaded} - {
        name.decode() for name in ran(f"{told} import runpy").stdout.split(b"\n")[-2].split()
    }


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_kept_page_is_what_typer_prints(language: str, columns: int) -> None:
    written = page(language, columns)
    assert written.count(NAME.encode()) == 1
    assert Path(page_file(language, columns)).read_bytes() == written, "run: python -m tests.help_pages"


@pytest.mark.parametrize("program", [AS_SCRIPT, AS_MODULE])
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_it_imports_next_to_nothing(program: str, arguments: list[str]) -> None:
    assert imported(program, *arguments, SIGHTSEEK_LANG="zh", **UTF_8) <= {
        "retrieval",
        "retrieval.__main__",
        "retrieval.help_page",
        "retrieval.spoken",
        "importlib",
        "encodings.utf_8",
        "gc",
    }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "columns", [None, "40", "79", "80", "81", "109", "110", "111", "500", "0", "-1", "", "wide", " 80"]
)
def test_any_width_gives_typers_page(language: str, columns: str | None) -> None:
    environment = {"SIGHTSEEK_LANG": language, **UTF_8} | ({} if columns is None else {"COLUMNS": columns})
    ours, theirs = ran(AS_SCRIPT, "--help", **environment), as_typer_prints("--help", **whole(environment))
    assert (ours.returncode, ours.stdout, ours.stderr) == (0, theirs.stdout, b"")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", ["80", "100", "200"])
def test_without_arguments_it_is_a_wrong_use(language: str, columns: str) -> None:
    environment = whole({"SIGHTSEEK_LANG": language, "COLUMNS": columns, **UTF_8})
    ours, theirs = ran(AS_SCRIPT, **environment), as_typer_prints(**environment)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert ours.stderr == page(language, int(columns))


@pytest.mark.parametrize("columns", ["80", "100"])
def test_the_page_names_the_command_as_it_was_called(columns: str) -> None:
    for program, name in ((AS_MODULE, "python -m retrieval"), (AS_SCRIPT.replace("sightseek", "find"), "find")):
        lines = ran(program, "--help", COLUMNS=columns, SIGHTSEEK_LANG="en").stdout.decode().splitlines()
        assert lines[0] == f"Usage: {name} [OPTIONS] COMMAND [ARGS]..."
        assert lines[1:] == page("en", int(columns)).decode().splitlines()[1:]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gb18030", "utf-16", "ascii:strict"])
def test_any_encoding_gives_typers_page(encoding: str) -> None:
    environment = {"SIGHTSEEK_LANG": "zh", "PYTHONIOENCODING": encoding}
    assert ran(AS_SCRIPT, "--help", **environment).stdout == as_typer_prints("--help", **whole(environment)).stdout


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals to be made here")
@pytest.mark.parametrize("width", [60, 80, 100, 110, 300])
def test_the_terminals_width_counts(width: int) -> None:
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 50, width, 0, 0))
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        command = [sys.executable, "-c", AS_SCRIPT, "--help"]
        subprocess.run(command, stdout=theirs, env=whole({"SIGHTSEEK_LANG": "en"}), check=True)
        os.close(theirs)
        shown = b""
        while b"models " not in shown:
            shown += terminal.read(4096)
    assert shown.replace(b"\r\n", b"\n") == page("en", width)


def test_completion_is_no_page() -> None:
    environment = {"_SIGHTSEEK_COMPLETE": "complete_bash", "COMP_WORDS": "sightseek d", "COMP_CWORD": "1"}
    assert ran(AS_SCRIPT, "--help", **environment).stdout.split() == [b"doctor", b"describe", b"duplicates"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_is_what_typer_says_it_is() -> None:
    by_typer = AS_SCRIPT.replace("__main__ import main; main()", "cli import app; app()")
    said = []
    for program in (AS_SCRIPT, by_typer):
        with Path("/dev/full").open("wb") as full:
            command = [sys.executable, "-c", program, "--help"]
            said.append(subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=whole({}), check=False))
    assert said[0].returncode == said[1].returncode != 0
    assert said[0].stderr.splitlines()[-1:] == said[1].stderr.splitlines()[-1:]


def test_without_a_stdout_nothing_fails() -> None:
    command = f'"{sys.executable}" -m retrieval --help >&-'
    closed = subprocess.run(["sh", "-c", command], capture_output=True, env=whole({}), check=False)
    assert (closed.returncode, closed.stderr) == (0, b"")
