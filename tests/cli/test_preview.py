"""``search --preview`` and ``--open`` as a user calls them, in a real terminal and in pipes."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrieval.cli.opening import command_for
from retrieval.cli.previews import _with_value
from retrieval.types import Hit
from tests.cli.conftest import REPOSITORY, Library, run, run_process
from tests.viewing.decoders import decode_blocks, decode_iterm, decode_kitty, decode_sixel

RED = np.array([255, 0, 0])


def in_terminal(*arguments: str | Path, **environment: str) -> str:
    """Run the command in a pseudo-terminal of 80 columns and return what it wrote there."""
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TERM", "TMUX", "KITTY", "LC_"))}
    started = subprocess.Popen(
        [sys.executable, "-m", "retrieval", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**plain, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "80", **environment},
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 0, err
    return written.decode().replace("\r\n", "\n")


def asked(library: Library, *more: str) -> list[str | Path]:
    return ["search", "red", "-k", "3", "--where", "kind:image", "-c", library.collection, *more]


def test_a_terminal_is_drawn_into_as_its_environment_says(prepared: Library) -> None:
    text = in_terminal(*asked(prepared, "--preview"), TERM="xterm-kitty")
    pictures = re.findall(r"(?:\x1b_G[^\x1b]*\x1b\\)+", text)
    assert len(pictures) == 1  # three pictures side by side
    pixels, keys = decode_kitty(pictures[0])
    assert (pixels.shape[1] / pixels.shape[0]) == pytest.approx(int(keys["c"]) * 10 / (int(keys["r"]) * 20))
    assert np.abs(pixels[-20, 20, :3] - RED).max() < 20
    after = text[text.index(pictures[0]) + len(pictures[0]) :].split("\n")
    assert after[0] == ""
    assert re.match(r"1  \d\.\d{4} +2  \d\.\d{4} +3  \d\.\d{4}", after[1])
    assert after[2].startswith("red.png")


def test_without_anything_better_blocks_are_drawn(prepared: Library) -> None:
    text = in_terminal(*asked(prepared, "--preview", "auto"), TERM="xterm-256color")
    first = text[: text.index("1  0.")].rstrip("\n")
    pixels = decode_blocks(first)
    assert pixels.shape[1] == 78  # two pictures of 38 columns
    assert np.abs(pixels[-4, 4, :3] - RED).max() < 20
    assert "red.png" in text


def test_a_terminal_that_draws_nothing_gets_the_table_and_a_line(prepared: Library) -> None:
    text = in_terminal(*asked(prepared, "--preview"), TERM="dumb")
    assert "▀" not in text
    assert "red.png" in text


def test_a_pipe_gets_no_pictures_unless_a_protocol_is_named(prepared: Library) -> None:
    ran = run_process(*asked(prepared, "--preview"), TERM="xterm-kitty")
    assert ran.returncode == 0
    assert b"\x1b" not in ran.stdout
    assert len(ran.stdout.splitlines()) == 3
    assert b"not a terminal" in ran.stderr


@pytest.mark.parametrize("protocol", ["kitty", "iterm", "sixel", "blocks"])
def test_a_named_protocol_is_drawn_anywhere(prepared: Library, protocol: str) -> None:
    ran = run_process(*asked(prepared, f"--preview={protocol}"), COLUMNS="60", TERM="dumb", TMUX="")
    text = ran.stdout.decode()
    if protocol == "kitty":
        pixels = decode_kitty(re.search(r"(?:\x1b_G[^\x1b]*\x1b\\)+", text)[0])[0]
    elif protocol == "iterm":
        pixels = decode_iterm(re.search(r"\x1b\][^\x07]*\x07", text)[0])[0]
    elif protocol == "sixel":
        pixels = decode_sixel(re.search(r"\x1bP.*?\x1b\\", text, re.DOTALL)[0])
    else:
        pixels = decode_blocks(text[: text.index("1  0.")].rstrip("\n"))
    assert np.abs(pixels[-2, 2, :3].astype(int) - RED).max() < 20
    assert text.count("red.png") == 2  # below the picture, and in the table


def test_inside_tmux_a_named_protocol_is_handed_through(prepared: Library) -> None:
    ran = run_process(*asked(prepared, "--preview", "iterm"), TMUX="/tmp/tmux,1,0", TERM="tmux-256color")
    assert ran.stdout.startswith(b"\x1bPtmux;\x1b\x1b]1337;")


def test_the_best_frame_of_a_moment_is_drawn(prepared: Library) -> None:
    arguments = ["search", "blue", "-k", "1", "--where", "kind:video", "-c", prepared.collection, "--preview=blocks"]
    ran = run_process(*arguments, COLUMNS="60")
    pixels = decode_blocks(ran.stdout.decode().split("\n1  ")[0])
    assert pixels[-2, 2, :3].argmax() == 2


def test_a_file_that_is_away_keeps_its_place(library: Library) -> None:
    (library.media / "red.png").unlink()
    ran = run_process(*asked(library, "--preview=blocks"), COLUMNS="200")
    assert ran.returncode == 0
    assert b"red.png: no such file" in ran.stdout


@pytest.mark.parametrize("more", [["--format", "jsonl"], ["--format", "paths"], ["-0"]])
def test_previews_go_with_the_table_alone(prepared: Library, more: list[str]) -> None:
    ran = run(*asked(prepared, "--preview", *more))
    assert ran.code == 2
    assert ran.out == ""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--preview", "a", "cat"], ["--preview=auto", "a", "cat"]),
        (["--preview", "sixel", "a"], ["--preview=sixel", "a"]),
        (["--preview=kitty", "a"], ["--preview=kitty", "a"]),
        (["a", "--preview"], ["a", "--preview=auto"]),
        (["--preview", "-k", "3"], ["--preview=auto", "-k", "3"]),
        (["--preview", "--", "--preview"], ["--preview=auto", "--", "--preview"]),
        (["--", "--preview", "sixel"], ["--", "--preview", "sixel"]),
    ],
)
def test_the_value_of_preview_may_be_left_out(given: list[str], read: list[str]) -> None:
    assert list(_with_value(given)) == read


def test_an_unknown_protocol_is_wrong_usage(prepared: Library) -> None:
    assert run(*asked(prepared, "--preview=vt52")).code == 2


# ------------------------------------------------------------------------------------------------------------ --open

PICTURE = Hit(1, 0.5, "/p/a b.jpg", "image", None, None, None, "/p/a b.jpg", 1, 1, None, 7)
MOMENT = Hit(1, 0.5, "/p/-a.mp4", "video", 12.5, 20.0, 14.0, "/p/-a.mp4#t=14", 1, 1, None, 7)
SCREEN = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    ("hit", "platform", "environment", "there", "command"),
    [
        (PICTURE, "linux", SCREEN, {"xdg-open", "mpv"}, ["/bin/xdg-open", "/p/a b.jpg"]),
        (MOMENT, "linux", SCREEN, {"xdg-open", "mpv", "vlc"}, ["/bin/mpv", "--start=12.500", "/p/-a.mp4"]),
        (MOMENT, "linux", {"WAYLAND_DISPLAY": "w"}, {"vlc"}, ["/bin/vlc", "--start-time=12.500", "/p/-a.mp4"]),
        (MOMENT, "linux", SCREEN, {"xdg-open"}, ["/bin/xdg-open", "/p/-a.mp4"]),
        (MOMENT, "linux", {}, {"xdg-open", "mpv"}, ["/bin/xdg-open", "/p/-a.mp4"]),  # nothing to show a film on
        (PICTURE, "darwin", {}, {"open"}, ["/bin/open", "/p/a b.jpg"]),
        (MOMENT, "darwin", {}, {"open", "mpv"}, ["/bin/mpv", "--start=12.500", "/p/-a.mp4"]),
        (PICTURE, "win32", {}, set(), ["startfile", "/p/a b.jpg"]),
        (PICTURE, "linux", SCREEN, set(), None),
    ],
)
def test_what_opens_a_hit(
    hit: Hit, platform: str, environment: dict[str, str], there: set[str], command: list[str] | None
) -> None:
    found = command_for(hit, platform, environment, lambda name: f"/bin/{name}" if name in there else None)
    assert found == command


def opener(folder: Path, name: str, code: int = 0) -> Path:
    """Write a program that notes what it was called with; return the folder to put on the path."""
    folder.mkdir()
    program = folder / name
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{folder}/called"\nexit {code}\n')
    program.chmod(0o755)
    return folder


def test_the_first_hit_is_opened(prepared: Library, tmp_path: Path) -> None:
    folder = opener(tmp_path / "bin", "xdg-open")
    ran = run_process(*asked(prepared, "--open"), PATH=str(folder), DISPLAY="")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 3
    assert (folder / "called").read_text() == f"{prepared.media / 'red.png'}\n"


def test_a_moment_is_opened_at_its_start(prepared: Library, tmp_path: Path) -> None:
    folder = opener(tmp_path / "bin", "mpv")
    arguments = ["search", "blue", "--where", "kind:video", "-c", prepared.collection, "--open"]
    ran = run_process(*arguments, PATH=str(folder), DISPLAY=":9")
    assert ran.returncode == 0, ran.stderr
    start, path = (folder / "called").read_text().splitlines()
    assert float(start.removeprefix("--start=")) == pytest.approx(3.0, abs=0.5)
    assert path.endswith("red then blue.mp4")


def test_a_missing_opener_gets_one_line(prepared: Library, tmp_path: Path) -> None:
    ran = run_process(*asked(prepared, "--open"), PATH=str(tmp_path))
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 3  # what was found is there all the same
    assert len(ran.stderr.splitlines()) == 1
    assert b"install" in ran.stderr


def test_an_opener_that_fails_gets_one_line(prepared: Library, tmp_path: Path) -> None:
    folder = opener(tmp_path / "bin", "xdg-open", code=4)
    ran = run_process(*asked(prepared, "--open"), PATH=str(folder), DISPLAY="")
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1


def test_a_file_that_is_away_is_not_opened(library: Library, tmp_path: Path) -> None:
    folder = opener(tmp_path / "bin", "xdg-open")
    (library.media / "red.png").unlink()
    ran = run_process(*asked(library, "--open"), PATH=str(folder), DISPLAY="")
    assert ran.returncode == 1
    assert b"mounted" in ran.stderr
    assert not (folder / "called").exists()


def test_nothing_found_opens_nothing(prepared: Library) -> None:
    ran = run("search", "red", "--where", "width>99999", "-c", prepared.collection, "--open")
    assert (ran.code, ran.out) == (0, "")
