"""Whole runs with a small OpenCLIP model: what they learn, where they stop, how they go on."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("matplotlib")

from PIL import Image  # noqa: E402

from retrieval.embedding import open_embedder  # noqa: E402
from retrieval.errors import DatasetError, ModelError, OptionError  # noqa: E402
from retrieval.training.finetune.metrics import read  # noqa: E402
from retrieval.training.finetune.pairs import read_sets  # noqa: E402
from retrieval.training.finetune.run import Request, tune  # noqa: E402
from retrieval.training.finetune.settings import completed, read_toml  # noqa: E402
from tests.training.finetune.conftest import FAST, Notes, Toy, curve, losses, tuned  # noqa: E402


@pytest.fixture(scope="module")
def whole(toy: Toy, clip: Path, tmp_path_factory: pytest.TempPathFactory):
    """A run to the end, and its folder."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("runs") / "whole"
    return tuned(toy, out, model=str(clip)), out


def test_it_learns_and_says_how_much(whole) -> None:
    outcome, out = whole
    found = losses(out)
    assert len(found) == 12
    assert np.mean(found[-3:]) < np.mean(found[:3]) - 0.2
    assert outcome.best.step > 0
    rows = {(row.way, row.name): row for row in outcome.rows}
    assert rows["text_to_image", "R@5"].after > rows["text_to_image", "R@5"].before
    for row in outcome.rows:
        assert row.before_95[0] <= row.before <= row.before_95[1]
        assert row.difference.difference == pytest.approx(row.after - row.before)
        assert 0 < row.difference.p <= 1
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert completed(read_toml(out / "config.toml")).batch == 12
    assert not (out / "features").exists()


def test_what_comes_out_is_a_model_that_gives_what_was_measured(whole, toy: Toy, clip: Path) -> None:
    outcome, _ = whole
    embedder = open_embedder(str(outcome.model))
    sets = read_sets(toy.images, toy.captions, completed({}))
    pictures = embedder.embed_images([Image.open(toy.images / name) for name in sets.dev.names])
    texts = embedder.embed_texts(sets.dev.captions)
    from retrieval.training.finetune.measuring import rank

    found = rank(pictures, texts, sets.dev).figures()
    assert found["mean"] == pytest.approx(outcome.best.mean, abs=3)
    card = (outcome.model / "README.md").read_text()
    assert "before" in card
    assert f"{outcome.rows[0].after:.1f}" in card
    assert not np.allclose(texts, open_embedder(str(clip)).embed_texts(sets.dev.captions), atol=1e-3)


def test_going_on_after_a_stop_gives_the_same_run(whole, toy: Toy, clip: Path, tmp_path: Path) -> None:
    outcome, out = whole
    first = tuned(toy, tmp_path / "run", until=5, model=str(clip))
    assert first.interrupted
    assert first.step == 5
    assert (first.model / "open_clip_config.json").is_file()
    again = tuned(toy, tmp_path / "run", resume=True)
    assert not again.interrupted
    assert curve(tmp_path / "run") == curve(out)
    assert again.best.ranks.text_to_image.tolist() == outcome.best.ranks.text_to_image.tolist()
    mine, theirs = (
        (folder / "best" / "open_clip_model.safetensors").read_bytes() for folder in (tmp_path / "run", out)
    )
    assert mine == theirs


def test_another_setting_or_other_pairs_are_refused_by_name(whole, toy: Toy, clip: Path, tmp_path: Path) -> None:
    _, out = whole
    with pytest.raises(OptionError, match=r"batch \(12 before, 6 now\).*seed"):
        tuned(toy, out, resume=True, batch=6, seed=4)
    with pytest.raises(OptionError, match="captions"):
        tune(Request(toy.images, tmp_path / "other.tsv", out, {}, True), Notes().watch())
    with pytest.raises(DatasetError, match="--resume"):
        tuned(toy, out, model=str(clip))
    with pytest.raises(DatasetError, match="no run to go on with"):
        tuned(toy, tmp_path, resume=True)


def test_captions_that_have_changed_are_refused(toy: Toy, clip: Path, tmp_path: Path) -> None:
    captions = tmp_path / "captions.tsv"
    captions.write_text(toy.captions.read_text())
    mine = Toy(toy.images, captions)
    tuned(mine, tmp_path / "run", until=1, model=str(clip))
    captions.write_text(toy.captions.read_text().replace("stripes", "lines"))
    with pytest.raises(DatasetError, match="pairs are not those"):
        tuned(mine, tmp_path / "run", resume=True)


def test_adapters_and_a_locked_tower_leave_the_rest_as_it_was(toy: Toy, clip: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    knobs = {"image_tower": "locked", "text_tower": "lora", "rank": 4, "epochs": 1, "loss": "siglip", "chunk": 5}
    outcome = tuned(toy, tmp_path / "run", model=str(clip), text_rate=1e-2, average=0.0, **knobs)
    before, after = (load_file(folder / "open_clip_model.safetensors") for folder in (clip, outcome.model))
    assert set(before) == set(after)
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    if outcome.best.step:
        assert {name for name in moved if name != "logit_scale"}
    assert all(name.startswith("transformer.") for name in moved - {"logit_scale"})


def test_it_ends_when_it_no_longer_helps(toy: Toy, clip: Path, tmp_path: Path) -> None:
    knobs = {"head_rate": 1e-12, "image_rate": 1e-12, "text_rate": 1e-12, "patience": 2, "every": 1}
    out = tmp_path / "run"
    out.mkdir()
    (out / "left_out.json").write_text('{"blue-box-0.png": "of a run that never came to a checkpoint"}')
    begun = tuned(toy, out, until=0, model=str(clip), **knobs)
    assert (begun.interrupted, begun.step, begun.left_out) == (True, 0, 0)
    outcome = tuned(toy, out, resume=True)
    assert outcome.step == 2
    assert outcome.best.step == 0
    assert [line["step"] for line in curve(out)] == [0, 1, 1, 2, 2]
    assert all(row.difference.p == 1.0 for row in outcome.rows)


def test_pictures_that_cannot_be_read_are_left_out_and_listed(toy: Toy, clip: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for path in toy.images.iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    (images / "red-disc-0.png").write_bytes(b"no picture")
    (images / "red-box-0.png").unlink()
    notes = Notes(1)
    request = Request(images, toy.captions, tmp_path / "run", {**FAST, "model": str(clip)})
    outcome = tune(request, notes.watch())
    assert outcome.left_out == 2
    listed = json.loads((tmp_path / "run" / "left_out.json").read_text())
    assert set(listed) == {"red-disc-0.png", "red-box-0.png"}
    assert any("left out 2 pictures" in line for line in notes.lines)
    assert any("34 pictures with 68 captions" in line for line in notes.lines)


def test_what_cannot_work_is_one_line_before_anything_is_trained(toy: Toy, clip: Path, tmp_path: Path) -> None:
    for number, (given, kind, match) in enumerate(
        [
            ({"batch": 400}, DatasetError, "greater than the 36 pictures"),
            ({"precision": "fp16"}, ModelError, "CUDA"),
            ({"image_tower": "last:9"}, OptionError, "2 blocks"),
            ({"model": "ViT-B-32@nowhere.pt"}, ModelError, "nowhere"),
        ]
    ):
        with pytest.raises(kind, match=match):
            tuned(toy, tmp_path / str(number), **{"model": str(clip), **given})


def test_from_scratch_begins_with_other_weights(toy: Toy, clip: Path, tmp_path: Path) -> None:
    outcome = tuned(toy, tmp_path / "run", until=1, model=str(clip), from_scratch="all", seed=5)
    assert outcome.interrupted
    texts = ["a red disc"]
    made, before = (open_embedder(str(folder)).embed_texts(texts) for folder in (outcome.model, clip))
    assert float((made * before).sum()) < 0.9


def test_the_lines_say_what_goes_on(whole) -> None:
    _, out = whole
    lines = read(out)
    assert {"step", "epoch", "loss", "rates", "scale", "norm", "seconds"} == set(lines[1])
    assert set(lines[1]["rates"]) == {"image heads", "image", "text heads", "text", "loss"}
    assert [line["step"] for line in lines if "dev" in line] == [0, 3, 6, 9, 12]
