"""Models read back from their folders, against those the folders were written from and against what reads them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
tokenizers = pytest.importorskip("tokenizers")

from retrieval.embedding.onnx import OnnxEmbedder  # noqa: E402
from retrieval.errors import ModelError, ModelNotFound  # noqa: E402
from retrieval.training.export import Card, image_model, text_model, write_folder  # noqa: E402
from retrieval.training.features import image_features  # noqa: E402
from retrieval.training.graph import quantise  # noqa: E402
from retrieval.training.loop import class_table  # noqa: E402
from retrieval.training.reload import Reloaded, load_starter, widened  # noqa: E402
from tests.model_makers import write_tiny_model  # noqa: E402
from tests.training.conftest import CLASSES  # noqa: E402
from tests.training.drawings import drawing  # noqa: E402
from tests.training.test_towers import cosines, make_balanced, make_ensemble  # noqa: E402

SHIPPED = Path(__file__).resolve().parents[2] / "retrieval" / "models" / "starter"
SENTENCES = ["a red disc", "there is a box in blue here", "a", "stripes in yellow ."]


def tokenizer_json(words: dict[str, int]) -> str:
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[PAD]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return made.to_str()


def write(folder: Path, loaded: Reloaded, tokenizer: str, *, compact: bool = True) -> Path:
    table = class_table(loaded.model, loaded.prompts)
    image = image_model(loaded.model, loaded.pretrained, table, compact=compact)
    text = text_model(loaded.model, compact=compact)
    write_folder(folder, image, text, tokenizer, loaded.classes, Card("small", "1", "A test.", "Nothing."))
    return folder


@pytest.fixture
def made(make_model, weights, words, request) -> Reloaded:
    """A small random model of one member or two, or of one with a correction for hubs ("balanced")."""
    model = make_ensemble(make_model) if request.param == 2 else make_model().eval()
    model = make_balanced(model) if request.param == "balanced" else model
    names = [list(words)[3 + i % (len(words) - 3)] for i in range(CLASSES)]
    return Reloaded(model, weights, names, tokenizers.Tokenizer.from_str(tokenizer_json(words)))


def vectors(loaded: Reloaded, paths: list[Path], cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """What the torch model gives for pictures and :data:`SENTENCES`."""
    found = image_features(paths, loaded.pretrained, cache)
    maps, shallow = (torch.from_numpy(np.array(array)).float() for array in found)
    with torch.no_grad():
        images = loaded.model.image(maps, shallow, class_table(loaded.model, loaded.prompts)).vectors
        texts = loaded.model.text([encoding.ids for encoding in loaded.tokenizer.encode_batch(SENTENCES)])
    return images.numpy(), texts.numpy()


def assert_equal(one: Reloaded, two: Reloaded) -> None:
    first, second = one.model.state_dict(), two.model.state_dict()
    assert list(first) == list(second)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert list(one.pretrained) == list(two.pretrained)
    assert all(np.array_equal(value, two.pretrained[name]) for name, value in one.pretrained.items())
    assert one.classes == two.classes
    assert one.prompts == two.prompts


@pytest.mark.parametrize("made", [1, 2, "balanced"], indirect=True)
def test_a_folder_gives_its_model_back(made: Reloaded, words, drawn, tmp_path: Path) -> None:
    folder = write(tmp_path / "one", made, tokenizer_json(words))
    back = load_starter(folder)
    assert type(back.model) is type(made.model)
    paths = [drawn.folder / "images" / name for name in drawn.names[:5]]
    images, texts = vectors(back, paths, tmp_path)
    embedder = OnnxEmbedder(folder, "small", "cpu", threads=1)
    pictures = [drawing(*name.removesuffix(".png").split("-")) for name in drawn.names[:5]]
    assert cosines(images, embedder.embed_images(pictures)).min() >= 0.9999
    assert cosines(texts, embedder.embed_texts(SENTENCES)).min() >= 0.9999
    again = load_starter(write(tmp_path / "two", back, tokenizer_json(words)))
    assert_equal(back, again)


@pytest.mark.parametrize("made", [2], indirect=True)
def test_weights_that_were_not_rounded_come_back_as_they_were(made: Reloaded, words, tmp_path: Path) -> None:
    back = load_starter(write(tmp_path / "plain", made, tokenizer_json(words), compact=False))
    kept, found = made.model.state_dict(), back.model.state_dict()
    assert list(kept) == list(found)
    changed = [name for name in kept if not torch.equal(kept[name], found[name])]
    assert changed == ["members.1.log_scale"]  # of the loss alone
    for name in ("stem.weight", "0.project.bias", "15.depthwise.weight", "classes.weight", "classes.bias"):
        assert np.array_equal(made.pretrained[name], back.pretrained[name]), name


@given(some.arrays(np.int32, (4, 9), elements=st.integers(-(10**6), 10**6)), st.integers(0, 1))
def test_codes_are_read_so_that_they_are_written_again(numbers: np.ndarray, axis: int) -> None:
    codes, scale = quantise((numbers / 997).astype(np.float32), axis)
    read = widened(codes, scale, Path("image.onnx"))
    assert np.allclose(read, codes * scale, rtol=3e-7, atol=0)
    again, factor = quantise(read, axis)
    assert np.array_equal(widened(again, factor, Path("image.onnx")), read)
    assert np.array_equal(again, codes)


@pytest.fixture(scope="module")
def shipped() -> Reloaded:
    return load_starter(SHIPPED)


def test_the_built_in_model_is_the_one_that_is_run(shipped: Reloaded, tmp_path: Path) -> None:
    embedder = OnnxEmbedder(SHIPPED, "starter", "cpu", threads=1)
    shown = [drawing("red", "disc", 200), drawing("blue", "stripes", 260), drawing("yellow", "box", 333, shift=20)]
    paths = [tmp_path / f"{i}.png" for i in range(len(shown))]
    for path, picture in zip(paths, shown, strict=True):
        picture.save(path)
    images, texts = vectors(shipped, paths, tmp_path)
    assert cosines(images, embedder.embed_images(shown)).min() >= 0.9999
    assert cosines(texts, embedder.embed_texts(SENTENCES)).min() >= 0.9999


def test_the_built_in_model_can_be_trained_further(shipped: Reloaded) -> None:
    assert len(shipped.classes) == len(shipped.prompts) == 1000
    assert shipped.model.training is False
    assert all(value.requires_grad for value in shipped.model.parameters())
    assert len(shipped.tokenizer.encode("dog " * 300).ids) == 64


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "model", ignore=shutil.ignore_patterns("LICENSES")))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_starter(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load_starter(tmp_path)
    tiny = write_tiny_model(tmp_path / "tiny")
    assert "classes.txt is missing" in refusal(tiny)
    (tiny / "classes.txt").write_text("dog\n", encoding="utf-8")
    assert "holds no model of the starter's kind" in refusal(tiny)


def test_a_damaged_file_is_named(copied: Path) -> None:
    (copied / "text.onnx").write_bytes(b"nothing of the kind" * 9)
    assert "text.onnx cannot be read" in refusal(copied)
    (copied / "text.onnx").unlink()
    assert "text.onnx cannot be read" in refusal(copied)


def test_names_must_be_those_of_the_classes(copied: Path) -> None:
    (copied / "classes.txt").write_text("dog\ncat\n", encoding="utf-8")
    assert "names 2 classes, not 1000" in refusal(copied)


def rewrite(path: Path, change) -> None:
    made = onnx.load(path)
    change({tensor.name: tensor for tensor in made.graph.initializer})
    path.write_bytes(made.SerializeToString())


def test_a_weight_without_its_scale_or_of_another_size_is_refused(copied: Path) -> None:
    def rename(tensors) -> None:
        tensors["top.weight.scale"].name = "other"

    def shrink(tensors) -> None:
        tensors["image_head.down.bias.f16"].CopyFrom(
            onnx.numpy_helper.from_array(np.zeros(5, np.float16), "image_head.down.bias.f16")
        )

    rewrite(copied / "image.onnx", shrink)
    assert "holds no model of the starter's kind" in refusal(copied)
    rewrite(copied / "image.onnx", rename)
    assert "lacks a scale" in refusal(copied)
