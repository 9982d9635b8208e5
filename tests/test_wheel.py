"""The wheel: what it holds, and that it works in a clean environment away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from retrieval.help_page import WIDTHS
from retrieval.spoken import LANGUAGES
from tests.media_makers import draw_picture, write_picture

REPOSITORY = Path(__file__).resolve().parents[1]


def call(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


def test_it_holds_the_two_packages_and_the_model(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"retrieval", "indexer"}
    for wanted in (
        "model.json",
        "image.onnx",
        "text.onnx",
        "tokenizer.json",
        "relevance.json",
        "relevance.npz",
        "README.md",
    ):
        assert f"retrieval/models/starter/{wanted}" in names
    for language in LANGUAGES:
        assert {f"retrieval/locale/{language}/help-{columns}.txt" for columns in WIDTHS} <= set(names)
    assert any(name.startswith("retrieval/store/migrations/") for name in names)
    assert not any("__pycache__" in name for name in names)


@pytest.mark.slow
def test_it_works_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    call(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    bin_folder = tmp_path / "venv" / "bin"
    call(bin_folder / "pip", "install", "--quiet", wheel, cwd=tmp_path)
    for seed in range(3):
        write_picture(tmp_path / "media" / f"{seed}.png", draw_picture(seed))
    command = bin_folder / "sightseek"
    call(command, "index", tmp_path / "media", "-c", tmp_path / "collection", cwd=tmp_path)
    found = call(command, "search", "coloured shapes", "-c", tmp_path / "collection", "--format", "paths", cwd=tmp_path)
    assert len(found.splitlines()) == 3
    installed = call(bin_folder / "pip", "list", "--format", "freeze", cwd=tmp_path)
    assert "torch" not in installed
