"""Checkpoints, the best weights, metrics and folders, whole at every moment."""

import json
import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from retrieval.errors import DatasetError  # noqa: E402
from retrieval.training.finetune import checkpoint, metrics  # noqa: E402


def state(file: str, step: int) -> dict[str, object]:
    return {"step": step, "best": {"file": file}, "weights": {"a": torch.full((2,), float(step))}}


def test_a_checkpoint_is_read_back_and_only_its_best_weights_are_kept(tmp_path: Path) -> None:
    for step in (1, 2):
        file = checkpoint.save_best(tmp_path, step, {"a": torch.tensor([float(step)])})
        assert (tmp_path / file).is_file()
        checkpoint.save(tmp_path, state(file, step))
    found = checkpoint.load(tmp_path)
    assert found["step"] == 2
    assert torch.equal(found["weights"]["a"], torch.full((2,), 2.0))
    assert checkpoint.load_best(tmp_path, found["best"]["file"])["a"].tolist() == [2.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-00000002.safetensors", "checkpoint.pt"]


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state("none", 1))
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(tmp_path, {**state("none", 2), "bad": lambda: None})
    assert checkpoint.load(tmp_path)["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


class Trap:
    """Something that would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"format": 1, "x": Trap(sprung)}, tmp_path / checkpoint.NAME)
    with pytest.raises(DatasetError, match="cannot be read"):
        checkpoint.load(tmp_path)
    assert not sprung.exists()
    assert pickle.loads(pickle.dumps(Trap(sprung))) is None
    assert sprung.exists()


@pytest.mark.parametrize("content", [b"", b"not torch", None])
def test_a_damaged_or_missing_checkpoint_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / checkpoint.NAME).write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        checkpoint.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_one_of_another_version_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 99}, tmp_path / checkpoint.NAME)
    with pytest.raises(DatasetError, match="another version"):
        checkpoint.load(tmp_path)


def test_a_folder_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "best"

    def write(text: str):
        def fill(fresh: Path) -> None:
            fresh.mkdir()
            (fresh / "model").write_text(text)
            if text == "bad":
                raise OSError("full")

        return fill

    checkpoint.replace_folder(folder, write("one"))
    with pytest.raises(OSError, match="full"):
        checkpoint.replace_folder(folder, write("bad"))
    assert (folder / "model").read_text() == "one"
    folder.rename(tmp_path / "best.old")  # as if stopped between two renames
    with pytest.raises(OSError, match="full"):
        checkpoint.replace_folder(folder, write("bad"))
    assert (folder / "model").read_text() == "one"
    checkpoint.replace_folder(folder, write("two"))
    assert (folder / "model").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_metrics_after_the_checkpoint_are_taken_off_and_a_cut_line_too(tmp_path: Path) -> None:
    path = tmp_path / metrics.NAME
    lines = [{"step": step, "loss": step / 3} for step in range(1, 6)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 6, "lo')
    assert metrics.read(tmp_path) == lines
    opened = metrics.Metrics(tmp_path, 3)
    opened.add({"step": 4, "loss": 0.5})
    opened.sync()
    opened.close()
    assert metrics.read(tmp_path) == [*lines[:3], {"step": 4, "loss": 0.5}]
