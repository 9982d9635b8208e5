import json
import shutil
from pathlib import Path

import pytest

from retrieval.embedding import check_files, embedder_for, open_embedder
from retrieval.embedding.folder import read_model_folder
from retrieval.errors import ModelError, ModelMismatch, ModelNotFound
from tests.model_makers import rewrite_settings, write_tiny_model


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_model_folder(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_reads_what_the_folder_says(folder: Path):
    found = read_model_folder(folder)
    assert (found.dim, found.preprocessing.height, found.preprocessing.resize) == (64, 32, "squash")
    assert (found.text.context_length, found.text.padding, found.text.lowercase) == (32, "longest", True)
    assert found.spec("x").knows.startswith("Knows colours")
    assert found.cells is None
    rewrite_settings(folder, image={"cells": [9, 7]})
    told = read_model_folder(folder)
    assert told.cells == (9, 7)
    assert told.spec("x").fingerprint() == found.spec("x").fingerprint()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "update sightseek"),
        ({"format": 0}, "bring back the original file"),
        ({"format": "1"}, "format is '1'"),
        ({"dim": None}, "dim is missing"),
        ({"dim": 0}, "dim is 0"),
        ({"dim": True}, "dim is True"),
        ({"name": 7}, "name is 7"),
        ({"image": None}, "image is missing"),
        ({"image": []}, "image is []"),
        ({"image": {"resize": "stretch"}}, "squash, crop, pad"),
        ({"image": {"interpolation": "area"}}, "image.interpolation"),
        ({"image": {"height": -1}}, "image.height is -1"),
        ({"image": {"file": "../image.onnx"}}, "image.file"),
        ({"image": {"cells": 9}}, "a list"),
        ({"image": {"cells": [9]}}, "two sizes"),
        ({"image": {"cells": [9, 0]}}, "two sizes"),
        ({"image": {"cells": [True, 9]}}, "two sizes"),
        ({"image": {"cells": [9, 10**9]}}, "two sizes"),
        ({"text": {"file": "/etc/passwd"}}, "text.file"),
        ({"text": {"padding": "left"}}, "longest, max"),
        ({"text": {"lowercase": "yes"}}, "true or false"),
        ({"text": {"context_length": 1.5}}, "whole number"),
        ({"text": {"file": "other.onnx"}}, "files lacks the SHA-256 of other.onnx"),
        ({"files": {"image.onnx": 3}}, "files does not map"),
    ],
)
def test_refuses_what_it_does_not_understand(folder: Path, changes: dict, words: str):
    rewrite_settings(folder, **changes)
    assert words in refusal(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "\xff"])
def test_refuses_what_is_no_json_object(folder: Path, content: str):
    (folder / "model.json").write_text(content, encoding="latin-1")
    refusal(folder)


def test_a_folder_without_model_json_is_not_a_model(tmp_path: Path):
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ModelNotFound, match="model"):
            read_model_folder(place)


def test_check_files_finds_what_was_changed_or_lost(folder: Path):
    assert check_files(folder) == []
    (folder / "image.onnx").write_bytes(b"other")
    (folder / "tokenizer.json").unlink()
    first, second = check_files(folder)
    assert "image.onnx" in first
    assert "SHA-256" in first
    assert "tokenizer.json" in second


def test_the_fingerprint_is_of_what_decides_the_vectors(folder: Path, tmp_path: Path):
    mark = open_embedder(str(folder)).spec.fingerprint()
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    rewrite_settings(moved, name="other", description="said differently", knows="nothing")
    assert open_embedder(str(moved)).spec.fingerprint() == mark
    for part in (
        {"image": {"resize": "crop"}},
        {"text": {"lowercase": False}},
        {"text": {"context_length": 16}},
        {"files": {"image.onnx": "0" * 64}},
    ):
        rewrite_settings(moved, **part)
        assert open_embedder(str(moved)).spec.fingerprint() != mark
        shutil.copy(folder / "model.json", moved / "model.json")
    other = write_tiny_model(tmp_path / "seeded", seed=5)
    assert open_embedder(str(other)).spec.digest != open_embedder(str(folder)).spec.digest


def test_the_model_of_a_collection_is_opened_again(folder: Path):
    spec = open_embedder(str(folder)).spec
    kept = type(spec).from_json(json.loads(json.dumps(spec.to_json())))
    assert embedder_for(kept, "cpu").spec == spec
    rewrite_settings(folder, image={"resize": "pad"})
    with pytest.raises(ModelMismatch, match="--reembed"):
        embedder_for(kept, "cpu")
    shutil.rmtree(folder)
    with pytest.raises(ModelNotFound, match="there is no model folder"):
        embedder_for(kept, "cpu")


def test_the_name_of_a_folder_is_its_absolute_path(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder.parent)
    for name in ("./model", "model", str(folder)):
        assert open_embedder(name).spec.name == str(folder)
