"""The README's tour: each of its commands runs as written, on the sample, with the built-in model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import REPOSITORY


def tour(name: str) -> list[str]:
    """Return the lines of the tour's shell blocks, without those that download."""
    section = (REPOSITORY / name).read_text(encoding="utf-8").split("\n## ")[2]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line for block in blocks[:-1] for line in block.splitlines()]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("skimage")
    home = tmp_path_factory.mktemp("tour")
    command = [sys.executable, str(REPOSITORY / "data" / "make_sample.py"), str(home / "data" / "sample")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return home


def test_the_tours_are_the_same_in_both_languages() -> None:
    assert tour("README.md") == tour("README.zh.md")
    assert len(tour("README.md")) >= 10


def test_every_command_of_the_tour_runs(sample: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "SIGHTSEEK_COLLECTION": str(sample / "collection"),
        "HOME": str(sample),
    }
    for line in tour("README.md"):
        script = f'set -o pipefail\nsightseek() {{ "{sys.executable}" -m retrieval "$@"; }}\n{line}\n'
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=sample,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert ran.returncode == 0, f"{line}\n{ran.stderr}"
        if " search " in line:
            assert ran.stdout.strip(), line


def test_the_tour_finds_what_it_says(sample: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def first(*arguments: str) -> str:
        command = [sys.executable, "-m", "retrieval", "search", *arguments, "-c", "found", "--format", "paths"]
        ran = subprocess.run(
            command, cwd=sample, env=environment, capture_output=True, text=True, check=True, timeout=400
        )
        return ran.stdout.splitlines()[0]

    index = [sys.executable, "-m", "retrieval", "index", "data/sample", "-c", "found"]
    subprocess.run(index, cwd=sample, env=environment, capture_output=True, check=True, timeout=400)
    assert "cat" in first("a cat")
    assert "photographer" in first("a photographer with a tripod")
    assert "coffee" in first("a cup of coffee")
    assert "cat" in first("--like", "data/sample/animals/ginger cat.jpg")
