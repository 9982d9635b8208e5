"""`sightseek models export`, from the command to a collection that is indexed and searched with what it wrote."""

from pathlib import Path

import pytest

from tests.cli.conftest import run
from tests.media_makers import draw_picture, write_picture


def test_a_small_openclip_model_is_exported_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("open_clip")
    from tests.embedding.clip_makers import write_clip_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = write_clip_folder(tmp_path / "run" / "best")
    ran = run("models", "export", tmp_path / "run", "--out", tmp_path / "model")
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert f"use it with: sightseek index --model {tmp_path / 'model'}" in ran.err
    write_picture(tmp_path / "media" / "drawing.png", draw_picture(1))
    ran = run("index", tmp_path / "media", "-c", tmp_path / "collection", "--model", tmp_path / "model")
    assert ran.code == 0, ran.err
    ran = run("search", "a drawing", "-c", tmp_path / "collection", "--format", "paths")
    assert ran.out == f"{tmp_path / 'media' / 'drawing.png'}\n"
    ran = run("models", "export", model, "--out", tmp_path / "model")
    assert ran.code == 1
    assert "--force" in ran.err


@pytest.mark.parametrize("exported_before", [False, True])
def test_a_model_in_eight_bits_is_written_and_used(
    exported_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("open_clip")
    from tests.embedding.clip_makers import write_clip_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    vision = {"image_size": 32, "layers": 3, "width": 128, "head_width": 32, "patch_size": 16}
    model = write_clip_folder(tmp_path / "clip", vision_cfg=vision)
    for number in range(60):
        write_picture(tmp_path / "media" / f"{number}.png", draw_picture(number))
    if exported_before:
        assert run("models", "export", model, "--out", tmp_path / "single").code == 0
        model = tmp_path / "single"
    out = tmp_path / "eight"
    ran = run("models", "export", model, "--out", out, "--int8", tmp_path / "media")
    assert ran.code == 0, ran.err
    assert "of the ten nearest pictures remain" in ran.err
    assert ran.err.endswith(f"use it with: sightseek index --model {out}\n")
    assert run("index", tmp_path / "media", "-c", tmp_path / "collection", "--model", out).code == 0
    ran = run("search", "a drawing", "-k", 60, "-c", tmp_path / "collection", "--format", "paths")
    assert sorted(ran.out.splitlines()) == sorted(str(path) for path in (tmp_path / "media").iterdir())
    ran = run("models", "export", model, "--out", tmp_path / "other", "--int8", tmp_path / "nowhere")
    assert ran.code == 1
    assert "is not a folder" in ran.err
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_exported_is_said_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    out = tmp_path / "out"
    for name, words in (("starter", "as it is"), ("no-such-model", "there is no model"), (tmp_path, "no model.json")):
        ran = run("models", "export", name, "--out", out)
        assert ran.code == 1
        assert len(ran.err.splitlines()) == 1
        assert words in ran.err
        assert not out.exists()
    assert run("models", "export", "starter").code == 2
    assert run("models", "export", "starter", "--out", "").code == 2
