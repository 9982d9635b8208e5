"""OpenCLIP models written as folders of ONNX files, against OpenCLIP itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
pytest.importorskip("onnx")

from retrieval.embedding import check_files, open_embedder  # noqa: E402
from retrieval.embedding.names import parse_name  # noqa: E402
from retrieval.embedding.onnx import OnnxEmbedder  # noqa: E402
from retrieval.embedding.openclip import OpenClipEmbedder  # noqa: E402
from retrieval.errors import ModelError, ModelNotFound  # noqa: E402
from retrieval.training import clip_export  # noqa: E402
from retrieval.training.clip_export import export_clip  # noqa: E402
from retrieval.training.clip_words import TRICKY, encoder, words_of  # noqa: E402
from retrieval.training.straight import straight_attention  # noqa: E402
from tests.embedding.clip_makers import COCA, SMALL, write_clip_folder  # noqa: E402
from tests.training.drawings import drawing  # noqa: E402

RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
SIGLIP = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
# Without accents beside curly quotes, nor numbers after "&#": OpenCLIP takes these for a broken encoding and for HTML.
LETTERS = st.text(st.sampled_from("aAbcS'‘ \t1.,-_&ﬁＡ狗🐶"), max_size=40)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vision transformer, as OpenCLIP's own folder."""
    return write_clip_folder(tmp_path_factory.mktemp("small") / "small")


@pytest.fixture(scope="module")
def written(small: Path) -> Path:
    """The same, exported."""
    return export(small, small.parent / "written")


def export(model: Path | str, out: Path, *, force: bool = False) -> Path:
    heard: list[str] = []
    made = export_clip(str(model), out, force=force, report=heard.append)
    assert made.folder == out
    assert made.cosine >= 0.9999
    assert made.image_bytes == sum((out / file).stat().st_size for file in ("image.onnx", "image.onnx.data"))
    assert any("image tower" in line for line in heard)
    return out


def pictures() -> list[Image.Image]:
    shapes = [drawing("red", "disc", 90), drawing("blue", "stripes", 40), drawing("yellow", "box", 200, shift=9)]
    return [*shapes, shapes[0].resize((150, 40)), shapes[1].resize((30, 200)), Image.new("L", (9, 9), 200)]


def assert_alike(folder: Path, model: Path | str) -> None:
    """The exported folder and OpenCLIP, from pictures of any size and raw texts to vectors."""
    ours = OnnxEmbedder(folder, "x", "cpu", threads=1)
    theirs = OpenClipEmbedder(parse_name(str(model)), "cpu")
    theirs._precision = "fp32"  # on some processors it would run in a shorter form
    for mine, known in (
        (ours.embed_images(pictures()), theirs.embed_images(pictures())),
        (ours.embed_texts(TRICKY), theirs.embed_texts(TRICKY)),
    ):
        assert mine.shape == known.shape
        assert (mine * known).sum(axis=1).min() >= 0.9999
        apart = np.abs(mine - mine.mean(axis=0)).max()  # little, where random weights see all alike
        assert np.abs(mine - known).max() < 0.05 * apart


def test_a_vision_transformer_is_read_without_torch(written: Path, small: Path) -> None:
    assert check_files(written) == []
    assert_alike(written, small)
    assert open_embedder(str(written)).spec.preprocessing.resize == "crop"
    described = json.loads((written / "model.json").read_text(encoding="utf-8"))
    assert described["text"]["context_length"] == 16
    assert described["text"]["weights"] == "text.onnx.data"
    assert sorted(described["files"]) == sorted({path.name for path in written.iterdir()} - {"model.json", "README.md"})
    assert str(written.parent) not in (written / "model.json").read_text(encoding="utf-8")
    readme = (written / "README.md").read_text(encoding="utf-8")
    assert "licence" in readme
    assert str(written.parent) not in readme


def test_long_texts_are_cut_where_openclip_cuts_and_it_is_said(written: Path, small: Path) -> None:
    ours, theirs = OnnxEmbedder(written, "x", "cpu"), OpenClipEmbedder(parse_name(str(small)), "cpu")
    for text in ("two dogs", "two dogs play in the snow " * 5):
        assert ours.text_notes(text) == theirs.text_notes(text)


@pytest.mark.parametrize(
    ("config", "preprocess"),
    [
        ({"vision_cfg": RESNET, "quick_gelu": True}, {**SIGLIP, "resize_mode": "longest"}),
        (COCA, SIGLIP),
    ],
    ids=["resnet", "coca"],
)
def test_other_architectures_are_exported_too(config: dict, preprocess: dict, tmp_path: Path) -> None:
    model = write_clip_folder(tmp_path / "model", preprocess=preprocess, **config)
    assert_alike(export(model, tmp_path / "out"), model)


def refusal(model: Path | str, out: Path, *, force: bool = False) -> str:
    with pytest.raises(ModelError) as caught:
        export_clip(str(model), out, force=force, report=lambda _: None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_replaces_a_model_on_request_and_nothing_else(small: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear", encoding="utf-8")
    assert "--force" in refusal(small, mine)
    assert "is not replaced" in refusal(small, mine, force=True)
    assert "is not a folder" in refusal(small, mine / "letter.txt", force=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "letter.txt"]
    (mine / "letter.txt").rename(mine / "model.json")
    open_clip.factory._MODEL_CONFIGS["tiny-export"] = {**open_clip.get_model_config("ViT-B-32"), **SMALL}
    try:
        name = f"tiny-export@{small / 'open_clip_model.safetensors'}"
        assert_alike(export(name, mine, force=True), name)
    finally:
        del open_clip.factory._MODEL_CONFIGS["tiny-export"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    described = json.loads((mine / "model.json").read_text(encoding="utf-8"))
    assert described["name"] == "tiny-export@open_clip_model.safetensors"


def test_what_needs_no_export_is_said(written: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "best").parent.mkdir()
    (run / "best").symlink_to(written)
    for name in ("starter", written, run):
        assert "without PyTorch as it is" in refusal(name, tmp_path / "out")
    with pytest.raises(ModelNotFound):
        export_clip("ViT-B-32/no-such-weights", tmp_path / "out", force=False, report=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_other_vectors_are_not_accepted(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_export, "LEAST_COSINE", 1.1)
    assert "gives other vectors in ONNX" in refusal(small, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_tower_beyond_one_file_is_refused(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_export, "MOST_BYTES", 1000)
    assert "one ONNX file holds 2" in refusal(small, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def simple():
    own = open_clip.SimpleTokenizer(context_length=24)
    return own, encoder(words_of(own, 24, "x"), 24)


@settings(max_examples=150, deadline=None)
@given(text=LETTERS)
def test_words_are_cut_as_openclip_cuts_them(simple, text: str) -> None:
    own, ours = simple
    assert ours(text) == own([text])[0].tolist()


def test_a_tokenizer_of_the_hub_is_written_with_openclips_cleaning(tmp_path: Path) -> None:
    from open_clip.tokenizer import HFTokenizer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "dog", "dogs", "two", "it's", "its", "its,", "fine", "A", "Dog"]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(tmp_path)
    for clean, known in (("whitespace", [12, 13, 8, 11]), ("lower", [4, 5, 8, 11]), ("canonicalize", [4, 5, 9, 11])):
        own = HFTokenizer(str(tmp_path), context_length=12, clean=clean)
        ids = encoder(words_of(own, 12, "x"), 12)
        assert ids("A  Dog it’s ﬁne") == [1, *known, 2, *[0] * 6]
    odd = HFTokenizer(str(tmp_path), context_length=12, strip_sep_token=True)
    with pytest.raises(ModelError, match="would be read otherwise"):
        words_of(odd, 12, "x")


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_few_operations_is_attention(masked: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(24, 3, batch_first=True).eval()
    rows, others = torch.randn(4, 7, 24), torch.randn(4, 5, 24)
    mask = torch.full((7, 7), float("-inf")).triu(1) if masked else None
    known = layer(rows, rows, rows, need_weights=False, attn_mask=mask)[0]
    weighed = layer(rows, rows, rows)[1]
    crossed = layer(rows, others, others, need_weights=False)[0]
    padded = layer(rows, rows, rows, need_weights=False, key_padding_mask=torch.arange(7)[None].expand(4, 7) > 4)[0]
    with straight_attention():
        torch.testing.assert_close(layer(rows, rows, rows, need_weights=False, attn_mask=mask)[0], known)
        torch.testing.assert_close(layer(rows, rows, rows)[1], weighed)
        torch.testing.assert_close(layer(rows, others, others, need_weights=False)[0], crossed)
        away = torch.arange(7)[None].expand(4, 7) > 4
        torch.testing.assert_close(layer(rows, rows, rows, need_weights=False, key_padding_mask=away)[0], padded)
    assert "straight" not in torch.nn.MultiheadAttention.forward.__qualname__
