"""Image towers in eight bits: what is written computes what it should, keeps neighbours, or is refused."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")
pytest.importorskip("open_clip")

from retrieval.embedding import check_files  # noqa: E402
from retrieval.embedding.onnx import OnnxEmbedder  # noqa: E402
from retrieval.errors import ModelError  # noqa: E402
from retrieval.training import quantising  # noqa: E402
from retrieval.training.clip_export import export_clip  # noqa: E402
from retrieval.training.int8_export import LEAST_PICTURES, export_in_eight_bits  # noqa: E402
from tests.embedding.clip_makers import write_clip_folder  # noqa: E402
from tests.media_makers import draw_picture, write_picture  # noqa: E402

_VISION = {"image_size": 32, "layers": 3, "width": 128, "head_width": 32, "patch_size": 16}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vision transformer as a model folder in single precision."""
    folder = tmp_path_factory.mktemp("exported")
    model = write_clip_folder(folder / "small", vision_cfg=_VISION)
    return export_clip(str(model), folder / "model", force=False, report=lambda _: None).folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn pictures, and of files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(80):
        write_picture(folder / f"{number % 3}" / f"{number}.png", draw_picture(number))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    return folder


def nodes(folder: Path) -> list[str]:
    return [node.op_type for node in onnx.load(folder / "image.onnx", load_external_data=False).graph.node]


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), np.uint8)


def test_a_folder_in_eight_bits_finds_what_it_found(exported: Path, pictures: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    made = export_in_eight_bits(exported, pictures, tmp_path / "out", force=False, report=heard.append)
    assert made.in_eight_bits == made.products > 9
    assert made.kept >= quantising.KEPT
    assert made.cosine > 0.99
    assert f"{made.kept:.1%} of the ten nearest" in heard[-1]
    assert check_files(tmp_path / "out") == []
    assert nodes(tmp_path / "out").count("QuantizeLinear") >= 3 * 3
    before, after = OnnxEmbedder(exported, "x", "cpu"), OnnxEmbedder(tmp_path / "out", "x", "cpu")
    assert before.spec.digest != after.spec.digest
    assert (before.embed_pixels(pixels(9)) * after.embed_pixels(pixels(9))).sum(axis=1).min() > 0.98
    assert np.array_equal(before.embed_texts(["a dog"]), after.embed_texts(["a dog"]))
    sizes = [(folder / "image.onnx.data").stat().st_size for folder in (exported, tmp_path / "out")]
    assert sizes[1] < 0.5 * sizes[0]


def test_a_vector_does_not_depend_on_its_batch(exported: Path, pictures: Path, tmp_path: Path) -> None:
    export_in_eight_bits(exported, pictures, tmp_path / "out", force=False, report=lambda _: None)
    embedder = OnnxEmbedder(tmp_path / "out", "x", "cpu")
    some = pixels(8)
    some[1:] //= 9  # a dark crowd would shift scales found while running
    alone = embedder.embed_pixels(some[:1])
    np.testing.assert_allclose(embedder.embed_pixels(some)[:1], alone, atol=2e-6)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_worst_products_stay_as_they_are(
    exported: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(quantising, "_SHARES_LEFT", (share,))
    made = export_in_eight_bits(exported, pictures, tmp_path / "out", force=False, report=lambda _: None)
    assert made.in_eight_bits == made.products - round(share * made.products)
    if share == 1:
        assert made.kept == 1
        assert made.cosine == pytest.approx(1, abs=1e-6)


def refusal(source: Path, pictures: Path, out: Path) -> str:
    with pytest.raises(ModelError) as caught:
        export_in_eight_bits(source, pictures, out, force=False, report=lambda _: None)
    assert not out.exists()
    assert not list(out.parent.glob(".*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_would_not_help_is_refused(
    exported: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import retrieval.models

    few = tmp_path / "few"
    for number in range(5):
        write_picture(few / f"{number}.png", draw_picture(number))
    starter = Path(retrieval.models.__path__[0]) / "starter"
    out = tmp_path / "made" / "out"
    assert "no transformer" in refusal(starter, pictures, out)
    assert f"5 pictures can be read below {few}; --int8 needs {LEAST_PICTURES}" in refusal(exported, few, out)
    assert "is not a folder" in refusal(exported, tmp_path / "nowhere", out)
    monkeypatch.setattr(quantising, "KEPT", 1.01)
    assert "of the ten nearest pictures remain" in refusal(exported, pictures, out)


@pytest.mark.parametrize("kind", ["MatMul", "Gemm"])
def test_products_are_those_of_numpy_in_whole_numbers(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    given = rng.normal(1, 2, (7, 40)).astype(np.float32)
    weights = rng.normal(0, 1, (40, 16)).astype(np.float32)
    added = rng.normal(0, 1, 16).astype(np.float32)
    gemm = kind == "Gemm"
    held = {"w": weights.T if gemm else weights, "b": added}
    inputs = ["x", "w", "b"] if gemm else ["x", "w"]
    node = onnx.helper.make_node(kind, inputs, ["vectors"], **({"transB": 1} if gemm else {}))
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "g", [value("x", 1, ["n", 40])], [value("vectors", 1, ["n", 16])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(held[name]), name) for name in inputs[1:]],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "g.onnx")
    made = quantising.quantise(tmp_path / "g.onnx", tmp_path / "out.onnx", [{"x": given}], [{"x": given}])
    assert made.in_eight_bits == 1
    step = (given.max() - given.min()) / 255
    steps = np.abs(weights).max(axis=0) / 63
    expected = (np.round(given / step) * step) @ (np.round(weights / steps) * steps) + (added if gemm else 0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = quantising.vectors_of(tmp_path / "out.onnx", [{"x": given}])
    # The zero point is whole, so that the outermost values may move by a step.
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_neighbours_kept_counts_what_remains() -> None:
    before, after = (np.random.default_rng(seed).normal(size=(30, 4)).astype(np.float32) for seed in (3, 4))

    def nearest(rows: np.ndarray, row: int) -> set[int]:
        others = [other for other in range(30) if other != row]
        return set(sorted(others, key=lambda other: -float(rows[row] @ rows[other]))[:5])

    expected = np.mean([len(nearest(before, row) & nearest(after, row)) / 5 for row in range(30)])
    assert quantising.neighbours_kept(before, after, 5) == pytest.approx(expected)
    assert quantising.neighbours_kept(before, before, 5) == 1
