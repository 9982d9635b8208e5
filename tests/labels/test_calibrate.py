"""The command that makes a calibration, on drawn pictures with captions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.embedding import Embedder
from retrieval.errors import DatasetError
from retrieval.labels.calibrate import calibrate, fitted, main, read_captioned
from retrieval.labels.calibration import read_calibration
from retrieval.labels.words import builtin_words
from tests.media_makers import write_picture
from tests.model_makers import COLOURS

WORDS = (*COLOURS, "wall", "dog", "sea", "tree", "bus", "hat")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "label-cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four shades of each colour, and captions that name them."""
    rng = np.random.default_rng(3)
    lines = []
    for name, colour in COLOURS.items():
        for shade in range(4):
            near = tuple(int(np.clip(value + rng.integers(-20, 21), 0, 255)) for value in colour)
            write_picture(tmp_path / "images" / f"{name}{shade}.png", Image.new("RGB", (40, 30), near))
            lines += [f"{name}{shade}.png\tdev\tsomething {name}", f"{name}{shade}.png\tdev\ta plain wall"]
    lines.append("absent.png\ttrain\tnot of this split")
    (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_command_makes_a_file_that_fits_its_model(
    data: Path, model: Path, embedder: Embedder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made.json"
    assert main(["--data", str(data), "--model", str(model), "--out", str(out)]) == 0
    made = read_calibration(out)
    assert made.fits(embedder.spec)
    assert (made.fitted, made.quality.pictures, made.quality.words) == (16, 16, len(builtin_words().words))
    assert made.quality.ece_after < made.quality.ece_before
    assert "fitted on 16 pictures" in capsys.readouterr().err
    assert str(tmp_path) not in json.dumps(json.loads(out.read_text()))  # nobody's folders are in what may be shared


def test_pictures_that_cannot_be_read_are_left_out(data: Path, embedder: Embedder) -> None:
    (data / "images" / "red0.png").write_bytes(b"no picture")
    notes: list[str] = []
    made = calibrate(read_captioned(data, "dev"), embedder, words=WORDS, note=notes.append)
    assert made.quality.words == len(WORDS)
    assert made.fitted + made.quality.pictures == 31
    assert any("red0.png" in note for note in notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("red0.png\tdev\tred\n", "1 pictures"),
        ("red0.png dev red\n", "line 1"),
        ("", "0 pictures"),
    ],
)
def test_captions_that_cannot_be_used_are_one_line(
    data: Path, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "captions.tsv").write_text(content)
    assert main(["--data", str(data)]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_captions_that_name_none_of_the_words_are_refused(data: Path, embedder: Embedder) -> None:
    lines = [f"{name}{shade}.png\tdev\tqqq" for name in COLOURS for shade in range(4)]
    (data / "captions.tsv").write_text("\n".join(lines))
    with pytest.raises(DatasetError, match="calibrate"):
        calibrate(read_captioned(data, "dev"), embedder, words=WORDS)


def test_a_missing_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_another_model_wants_a_place_to_write(data: Path, model: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--data", str(data), "--model", str(model)])
    assert caught.value.code == 2


def test_a_model_that_is_wrong_about_everything_is_refused(embedder: Embedder) -> None:
    rows = np.eye(12, embedder.dim, dtype=np.float32)
    with pytest.raises(DatasetError, match="do not rise"):
        fitted(embedder.spec, rows, rows, ~np.eye(12, dtype=np.bool_))


def test_fitting_looks_at_even_places_alone(embedder: Embedder) -> None:
    rng = np.random.default_rng(8)
    rows = rng.normal(size=(40, embedder.dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    true = rows @ rows[:9].T > 0.1
    first = fitted(embedder.spec, rows, rows[:9], true)
    other = true.copy()
    other[1::2] = ~other[1::2]
    second = fitted(embedder.spec, rows, rows[:9], other)
    assert (first.slope, first.bias) == (second.slope, second.bias)
    assert first.quality.ece_after < second.quality.ece_after
