"""A run that is killed goes on as if it had not been, and two processes learn what one learns."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("matplotlib")

from tests.training.finetune.conftest import FAST, Toy, curve, losses, tuned  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
SURROUNDINGS = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def options(**given: object) -> list[str]:
    found = []
    for key, value in {**FAST, **given}.items():
        found += [f"--{key.replace('_', '-')}", str(value)]
    return found


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.slow
def test_killed_and_resumed_is_the_uninterrupted_run(toy: Toy, clip: Path, tmp_path: Path) -> None:
    knobs = {"model": str(clip), "every": 3, "save_every": 2, "jitter": 0.2}
    tuned(toy, tmp_path / "whole", **knobs)
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "retrieval", "train", str(toy.images), str(toy.captions), "--out", str(killed)]
    process = subprocess.Popen(
        [*command, *options(**knobs)], env=SURROUNDINGS, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        while process.poll() is None and len(losses(killed)) < 5:
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()
    cut = len(losses(killed))
    assert 5 <= cut < 12
    tuned(toy, killed, resume=True)
    assert curve(killed) == curve(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(toy: Toy, clip: Path, tmp_path: Path) -> None:
    knobs = {"model": str(clip), "every": 4, "epochs": 3, "chunk": 4}
    tuned(toy, tmp_path / "one", **knobs)
    two = tmp_path / "two"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "retrieval",
    ]
    ran = subprocess.run(
        [*command, "train", str(toy.images), str(toy.captions), "--out", str(two), *options(**knobs)],
        env=SURROUNDINGS, capture_output=True, check=False, timeout=500,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode()
    assert len(losses(two)) == 9
    assert losses(two) == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
    assert ran.stdout.decode().count("use it with") == 1
    ours, theirs = (
        (folder / "best" / "open_clip_model.safetensors").stat().st_size for folder in (two, tmp_path / "one")
    )
    assert ours == theirs
