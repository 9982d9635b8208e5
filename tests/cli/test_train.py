"""``sightseek train`` as a user calls it."""

import os
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import run

pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("matplotlib")

from tests.embedding.clip_makers import write_clip_folder
from tests.training.drawings import COLOURS, SHAPES, drawing

QUICK = ("--batch", "6", "--epochs", "1", "--captions", "1", "--device", "cpu", "--jobs", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("train")
    (made / "images").mkdir()
    rows = []
    for colour in COLOURS:
        for shape in SHAPES:
            drawing(colour, shape, side=40).save(made / "images" / f"{colour}-{shape}.png")
            rows.append(f"{colour}-{shape}.png\t{'dev' if shape == 'box' else 'train'}\ta {colour} {shape}")
    (made / "captions.tsv").write_text("\n".join(rows) + "\n")
    write_clip_folder(made / "clip")
    return made


def test_a_run_prints_before_and_after_and_where_the_model_is(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('loss = "siglip"\nbatch = 8\n')
    ran = run(
        "train", folder / "images", folder / "captions.tsv", "--out", tmp_path / "run", "--model", folder / "clip",
        "--config", config, *QUICK,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "text -> picture R@10" in ran.out
    assert "before" in ran.out
    assert f"--model {tmp_path / 'run' / 'best'}" in ran.out
    assert "loss" in ran.err
    assert "8 pictures with 8 captions to learn from, 4 held out" in ran.err
    written = (tmp_path / "run" / "config.toml").read_text()
    assert 'loss = "siglip"' in written
    assert "batch = 6" in written
    again = run("train", "--out", tmp_path / "run", "--resume", "--batch", "4")
    assert again.code == 2
    assert "batch (6 before, 4 now)" in again.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--loss", "triplet"], 2, "infonce"),
        (["--batch", "90"], 1, "greater than the 8 pictures"),
        (["--config", "nowhere.toml"], 2, "nowhere.toml"),
        (["--train-split", "none"], 1, "no pairs found"),
        (["--resume"], 1, "no run to go on with"),
        (["--precision", "bf16"], 1, "CUDA"),
        (["--class-names", "nowhere.txt"], 1, "nowhere.txt"),
    ],
)
def test_what_cannot_work_is_one_line(folder: Path, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    ran = run(
        "train", folder / "images", folder / "captions.tsv", "--out", tmp_path / "run", "--model", folder / "clip",
        *(QUICK if "--batch" not in arguments else ()), *arguments,
    )  # fmt: skip
    assert ran.code == code, ran.err
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_without_pairs_it_is_wrong_usage(tmp_path: Path) -> None:
    ran = run("train", "--out", tmp_path / "run")
    assert ran.code == 2
    assert "PICTURES" in ran.err or "pictures" in ran.err
    assert run("train").code == 2


def test_ctrl_c_is_a_request_to_stop() -> None:
    from retrieval.cli.training import _stoppable

    before = signal.getsignal(signal.SIGINT)
    with _stoppable() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
