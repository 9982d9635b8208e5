"""The parts of the model against plain forms of themselves, and the exported graphs against the torch model."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from torch.nn import functional  # noqa: E402

from retrieval.training.data import read_view  # noqa: E402
from retrieval.training.export import Card, image_model, text_model, write_folder  # noqa: E402
from retrieval.training.features import image_features  # noqa: E402
from retrieval.training.graph import Graph, quantise  # noqa: E402
from retrieval.training.hubs import Balanced, Banks  # noqa: E402
from retrieval.training.image_tower import BLOCKS, CUT, SIDE, same_pads  # noqa: E402
from retrieval.training.loop import class_table  # noqa: E402
from retrieval.training.model import Ensemble, joint_axes, pad  # noqa: E402
from retrieval.training.tail import Tail  # noqa: E402


def convolutions(weights: dict[str, np.ndarray], maps: "torch.Tensor") -> "torch.Tensor":
    """The tail as ordinary convolutions."""

    def conv(name: str, source: "torch.Tensor", **options: int) -> "torch.Tensor":
        kernel, bias = (torch.from_numpy(weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))
        return functional.conv2d(source, kernel, bias, **options)

    for i in range(CUT + 1, len(BLOCKS)):
        wide = functional.relu6(conv(f"{i}.expand", maps))
        spread = conv(f"{i}.depthwise", wide, padding=BLOCKS[i].kernel // 2, groups=wide.shape[1])
        out = conv(f"{i}.project", functional.relu6(spread))
        maps = out + maps if BLOCKS[i].skips else out
    return functional.relu6(conv("top", maps))


def test_the_tail_is_the_convolutions_it_stands_for(weights) -> None:
    maps = torch.randn(2, 208, 9, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = Tail(weights)(maps.flatten(2))
        expected = convolutions(weights, maps).flatten(2).permute(1, 0, 2)
    assert torch.allclose(found, expected, atol=1e-4)


def test_the_tail_gives_its_weights_back(weights) -> None:
    for name, value in Tail(weights).folded().items():
        assert np.array_equal(value, weights[name]), name


def test_padding_of_even_and_odd_sides() -> None:
    assert same_pads(260, 3, 2) == [0, 0, 1, 1]
    assert same_pads(65, 3, 2) == [1, 1, 1, 1]
    assert same_pads(9, 5, 1) == [2, 2, 2, 2]


def test_features_are_read_again_and_differ_by_view(drawn, weights, tmp_path: Path) -> None:
    paths = [drawn.folder / "images" / name for name in drawn.names[:3]]
    whole = image_features(paths, weights, tmp_path)
    assert whole.maps.shape == (3, 208, 81)
    assert whole.shallow.shape == (3, 560)
    assert np.isfinite(whole.maps).all()
    files = sorted(tmp_path.iterdir())
    stamps = [f.stat().st_mtime_ns for f in files]
    again = image_features(paths, weights, tmp_path)
    assert np.array_equal(again.maps, whole.maps)
    assert [f.stat().st_mtime_ns for f in files] == stamps
    assert not np.array_equal(image_features(paths, weights, tmp_path, view=1).maps, whole.maps)
    assert not np.array_equal(image_features(paths[:2], weights, tmp_path).maps, whole.maps[:2][::-1])


def test_codes_are_within_half_a_step() -> None:
    value = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    value[2] = 0
    for axis in range(3):
        codes, scale = quantise(value, axis)
        assert scale.shape == tuple(n if i == axis else 1 for i, n in enumerate(value.shape))
        assert np.abs(codes * scale - value).max() <= scale.max() / 2 + 1e-7


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def make_ensemble(make_model) -> Ensemble:
    """Two members that share what is never trained, and a projection that loses something."""
    members = [make_model(), make_model()]
    generator = torch.Generator().manual_seed(5)
    for name, value in members[1].named_parameters():
        if not name.startswith(("tower.words", "tower.positions", "tower.norm", *(f"tower.layers.{i}" for i in "012"))):
            value.data += 0.02 * torch.randn(value.shape, generator=generator)
    return Ensemble(members, torch.linalg.qr(torch.randn(1024, 512, generator=generator)).Q).eval()


def make_balanced(model) -> Balanced:
    """The model with a correction by random banks."""
    generator = torch.Generator().manual_seed(6)
    pictures, texts, names = (functional.normalize(torch.randn(n, 512, generator=generator), dim=1) for n in (9, 8, 7))
    of_pictures, of_texts = Banks(pictures, texts, names).correction()
    of_pictures.share = of_texts.share = 0.5
    return Balanced(model, of_pictures, of_texts).eval()


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("compact", "least"), [(False, 0.999999), (True, 0.998)])
def test_the_exported_towers_equal_the_torch_model(
    make_model, material, drawn, weights, compact, least, count, balanced
) -> None:
    model = make_model().eval() if count == 1 else make_ensemble(make_model)
    model = make_balanced(model) if balanced else model
    with torch.no_grad():
        table = class_table(model, material.prompts)
        maps, shallow = (torch.from_numpy(np.array(a[:4])).float() for a in material.views[0])
        images = model.image(maps, shallow, table).vectors.numpy()
        texts = model.text(material.prompts[:16]).numpy()
    session = ort.InferenceSession(image_model(model, weights, table, compact=compact).SerializeToString())
    pixels = np.stack([read_view(drawn.folder / "images" / name, SIDE) for name in drawn.names[:4]])
    found = session.run(["vectors"], {"pixels": pixels})[0]
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert cosines(found, images).min() >= min(least, 0.9999)
    session = ort.InferenceSession(text_model(model, compact=compact).SerializeToString())
    ids, mask = (t.numpy() for t in pad([*material.prompts[:15], [1, *([4] * 62), 2]]))
    found = session.run(["vectors"], {"input_ids": ids, "attention_mask": mask})[0]
    assert cosines(found[:15], texts[:15]).min() >= least


def test_a_cosine_of_an_ensemble_is_the_mean_of_its_members_cosines(make_model, material) -> None:
    model = make_ensemble(make_model)
    model.mix = torch.eye(1024)
    maps, shallow = (torch.from_numpy(np.array(a[:5])).float() for a in material.views[0])
    with torch.no_grad():
        table = class_table(model, material.prompts)
        found = model.image(maps, shallow, table).vectors @ model.text(material.prompts[:7]).T
        own = [
            m.image(maps, shallow, m.table(material.prompts)).vectors @ m.text(material.prompts[:7]).T
            for m in model.members
        ]
    assert torch.allclose(found, (own[0] + own[1]) / 2, atol=1e-5)
    assert not torch.allclose(own[0], own[1], atol=1e-3)


def test_joint_axes_keep_the_cosines_of_what_lies_in_few_directions() -> None:
    generator = torch.Generator().manual_seed(1)
    plane = torch.randn(12, 40, generator=generator)
    images, texts = (functional.normalize(torch.randn(n, 12, generator=generator) @ plane) for n in (60, 25))
    axes = joint_axes(images, texts, 12)
    assert torch.allclose(axes.T @ axes, torch.eye(12), atol=1e-5)
    assert torch.allclose((images @ axes) @ (texts @ axes).T, images @ texts.T, atol=1e-5)


def test_a_name_stands_for_one_array() -> None:
    graph = Graph("one")
    graph.constant("a", np.ones(2))
    graph.constant("a", np.ones(2))
    with pytest.raises(ValueError, match="two arrays are called a"):
        graph.constant("a", np.zeros(2))


def test_a_written_folder_describes_itself_and_repeats(make_model, material, weights, tmp_path: Path) -> None:
    model = make_model().eval()
    table = class_table(model, material.prompts)
    for name in ("one", "two"):
        image, text = image_model(model, weights, table), text_model(model)
        write_folder(tmp_path / name, image, text, "{}\n", ["dog", "cat"], Card("tiny", "1", "a test", "nothing"))
    described = json.loads((tmp_path / "one" / "model.json").read_text(encoding="utf-8"))
    assert described["dim"] == 512
    assert described["image"]["height"] == SIDE
    for name, digest in described["files"].items():
        content = (tmp_path / "one" / name).read_bytes()
        assert sha256(content).hexdigest() == digest
        assert (tmp_path / "two" / name).read_bytes() == content
