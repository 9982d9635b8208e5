"""A small library of pictures and a clip of known colours, indexed once by the command line with the tiny model."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from retrieval.cli import app
from tests.media_makers import draw_picture, write_clip, write_picture
from tests.model_makers import COLOURS, write_tiny_model

REPOSITORY = Path(__file__).resolve().parents[2]


class Ran(NamedTuple):
    """What a command printed and returned."""

    code: int
    out: str
    err: str


class Library(NamedTuple):
    """Folders of a test: the sources, the collection and the model."""

    media: Path
    collection: Path
    model: Path


def run(*arguments: str | Path) -> Ran:
    """Run the command in this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return Ran(result.exit_code, result.stdout, result.stderr)


def run_process(
    *arguments: str | Path, timeout: float = 120, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own, away from the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "retrieval", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
    )


def make_media(folder: Path) -> None:
    """Write one picture of each colour, a folder with two drawn pictures, and a clip that is red, then blue."""
    from PIL import Image

    for name, colour in COLOURS.items():
        write_picture(folder / f"{name}.png", Image.new("RGB", (64, 48), colour))
    for seed in (1, 2):
        write_picture(folder / "drawn" / f"drawing {seed}.jpg", draw_picture(seed))
    write_clip(folder / "clips" / "red then blue.mp4", [("red", 3.0), ("blue", 3.0)], fps=10)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The library, indexed; shared, so tests must not change it."""
    root = tmp_path_factory.mktemp("library")
    made = Library(root / "media", root / "collection", write_tiny_model(root / "model"))
    make_media(made.media)
    ran = run("index", made.media, "-c", made.collection, "--model", made.model)
    assert ran.code == 0, ran.err
    return made


@pytest.fixture
def library(prepared: Library, tmp_path: Path) -> Library:
    """A copy of the library that the test may change (its source is the copied folder)."""
    made = Library(tmp_path / "media", tmp_path / "collection", prepared.model)
    shutil.copytree(prepared.media, made.media)
    ran = run("index", made.media, "-c", made.collection, "--model", made.model)
    assert ran.code == 0, ran.err
    return made
