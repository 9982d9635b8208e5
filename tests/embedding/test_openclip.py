import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.config import ModelSpec
from retrieval.embedding import embedder_for, open_embedder
from retrieval.embedding.names import parse_name
from retrieval.embedding.weights import checkpoint_in, file_digest
from retrieval.errors import ModelError, ModelMismatch, ModelNotFound, RetrievalError
from tests.embedding.clip_makers import COCA, PREPROCESS, SMALL, make, write_clip_folder

open_clip = pytest.importorskip("open_clip", reason="the extra clip is not installed")
torch = pytest.importorskip("torch", reason="the extra clip is not installed")

TEXTS = ["a dog in the snow", "two red cars", "", "a", "long " * 40]
ARCH = "sightseek-small"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip_folder(tmp_path_factory.mktemp("clip") / "small")


@pytest.fixture(scope="module")
def arch(folder: Path) -> str:
    """The small architecture under a name, as built-in ones have."""
    path = folder.parent / f"{ARCH}.json"
    path.write_text(json.dumps(SMALL), encoding="utf-8")
    open_clip.add_model_config(path)
    return ARCH


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(3)
    sizes = [(40, 32), (33, 64), (32, 32), (64, 40)]
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sizes]


def state_of(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "open_clip_model.safetensors")


def reference(model, tokenizer, pictures, mean, std, **how):
    """The vectors OpenCLIP itself gives: its model, its transform, its tokenizer."""
    size = model.visual.image_size
    size = size[0] if isinstance(size, tuple) else size
    transform = open_clip.image_transform(size, is_train=False, mean=mean, std=std, **how)
    with torch.inference_mode():
        images = model.encode_image(torch.stack([transform(picture) for picture in pictures]), normalize=True)
        texts = model.encode_text(tokenizer(TEXTS), normalize=True)
    return images.numpy(), texts.numpy()


def one_line(call) -> str:
    with pytest.raises(RetrievalError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return str(caught.value)


@pytest.mark.parametrize(
    ("config", "resize"),
    [
        ({}, "shortest"),
        ({"custom_text": True}, "longest"),
        ({"quick_gelu": True}, "squash"),
        ({"vision_cfg": {**SMALL["vision_cfg"], "layers": [1, 1, 1, 1], "width": 16, "head_width": 16}}, "squash"),
        (COCA, "shortest"),
    ],
    ids=["plain", "custom-text", "quick-gelu", "resnet", "coca"],
)
def test_equals_what_openclip_computes(tmp_path: Path, pictures, config, resize):
    folder = write_clip_folder(tmp_path / "m", preprocess={**PREPROCESS, "resize_mode": resize}, **config)
    whole, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    wanted = reference(
        whole.eval(),
        open_clip.get_tokenizer(f"local-dir:{folder}"),
        pictures,
        PREPROCESS["mean"],
        PREPROCESS["std"],
        resize_mode=resize,
    )
    embedder = open_embedder(str(folder), "cpu")
    np.testing.assert_allclose(embedder.embed_images(pictures), wanted[0], atol=2e-5)
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), wanted[1], atol=2e-5)
    assert embedder.dim == embedder.spec.dim == 32


def test_the_same_weights_in_any_file_give_the_same_vectors(folder: Path, arch: str, tmp_path: Path, pictures):
    state = state_of(folder)
    shutil.copy(folder / "open_clip_model.safetensors", tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pt")
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "c.pt")
    torch.save(state, tmp_path / "d.pt", _use_new_zipfile_serialization=False)
    found = []
    for file in ("a.safetensors", "b.pt", "c.pt", "d.pt"):
        embedder = open_embedder(f"{arch}@{tmp_path / file}", "cpu")
        assert embedder.spec.name == f"{arch}@{tmp_path / file}"
        found.append(np.concatenate([embedder.embed_images(pictures), embedder.embed_texts(TEXTS)]))
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_neither_batch_nor_neighbours_change_a_vector(folder: Path, pictures):
    embedder = open_embedder(str(folder), "cpu")
    pixels = np.stack([embedder.preprocess(np.asarray(picture)) for picture in pictures * 3])
    together = embedder.embed_pixels(pixels)
    embedder.batch_size = 5
    np.testing.assert_allclose(embedder.embed_pixels(pixels), together, atol=1e-5)
    alone = np.concatenate([embedder.embed_pixels(pixels[i : i + 1]) for i in range(len(pixels))])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    texts = TEXTS * 30
    alone = np.concatenate([embedder.embed_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(embedder.embed_texts(texts), np.tile(alone, (30, 1)), atol=1e-5)


@pytest.mark.parametrize("tower", ["visual.", ""])
def test_each_tower_is_loaded_alone(folder: Path, arch: str, tmp_path: Path, pictures, tower: str):
    """A checkpoint that holds one tower only serves that tower."""
    kept = {key: value for key, value in state_of(folder).items() if key.startswith("visual.") == bool(tower)}
    torch.save(kept, tmp_path / "half.pt")
    whole, half = open_embedder(str(folder), "cpu"), open_embedder(f"{arch}@{tmp_path / 'half.pt'}", "cpu")
    if tower:
        pixels = np.stack([half.preprocess(np.zeros((32, 32, 3), np.uint8))])
        assert half.embed_pixels(pixels).shape == (1, 32)
        assert "does not fit" in one_line(lambda: half.embed_texts(TEXTS))
    else:
        np.testing.assert_array_equal(half.embed_texts(TEXTS), whole.embed_texts(TEXTS))
        assert "lacks visual." in one_line(lambda: half.embed_images(pictures))


def test_long_texts_are_read_in_part_and_it_is_said(folder: Path):
    embedder = open_embedder(str(folder), "cpu")
    assert embedder.text_notes("a dog") == []
    assert embedder.text_notes("dog " * 14) == []
    assert "first 14 words" in embedder.text_notes("dog " * 15)[0]
    assert "first 14 words" in embedder.text_notes("dog " * 100_000)[0]


def test_half_precision_stays_close(folder: Path, pictures):
    exact, half = open_embedder(str(folder), "cpu"), open_embedder(str(folder), "cpu")
    half._precision = "bf16"
    for a, b in (
        (exact.embed_images(pictures), half.embed_images(pictures)),
        (exact.embed_texts(TEXTS), half.embed_texts(TEXTS)),
    ):
        assert (a * b).sum(axis=1).min() > 0.999


def test_the_fingerprint_follows_weights_architecture_and_preprocessing(folder: Path, tmp_path: Path):
    mark = open_embedder(str(folder)).spec.fingerprint()
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert open_embedder(str(copy)).spec.fingerprint() == mark
    kept = ModelSpec.from_json(json.loads(json.dumps(open_embedder(str(copy)).spec.to_json())))
    assert embedder_for(kept, "cpu").spec == kept
    write_clip_folder(copy, seed=1)
    assert open_embedder(str(copy)).spec.fingerprint() != mark
    with pytest.raises(ModelMismatch, match="--reembed"):
        embedder_for(kept, "cpu")
    write_clip_folder(copy, preprocess={**PREPROCESS, "resize_mode": "squash"})
    assert open_embedder(str(copy)).spec.fingerprint() != mark
    write_clip_folder(copy, quick_gelu=True)
    assert open_embedder(str(copy)).spec.fingerprint() != mark


def test_a_local_checkpoint_is_prepared_as_its_architecture_was_published(tmp_path: Path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"looked at when a tower is loaded")
    siglip = open_embedder(f"ViT-B-16-SigLIP@{file}").spec.preprocessing
    assert (siglip.mean, siglip.resize) == ((0.5, 0.5, 0.5), "squash")
    clip = open_embedder(f"ViT-B-32@{file}").spec.preprocessing
    assert (clip.height, clip.resize) == (224, "crop")
    assert clip.mean is not None
    assert clip.mean[0] == pytest.approx(0.4815, abs=1e-4)
    quick = open_embedder(f"ViT-B-32/openai@{file}")
    assert quick._found.quick_gelu
    assert not open_embedder(f"ViT-B-32/laion2b_s34b_b79k@{file}")._found.quick_gelu
    assert quick.spec.digest != open_embedder(f"ViT-B-32@{file}").spec.digest


def test_quick_gelu_follows_the_tag(folder: Path, arch: str, pictures, monkeypatch: pytest.MonkeyPatch):
    """An architecture without QuickGELU, filled with weights that were trained with it."""
    from open_clip import pretrained

    file = folder / "open_clip_model.safetensors"
    entry = {"mean": None, "std": None, "quick_gelu": True}
    monkeypatch.setitem(pretrained._PRETRAINED, arch, {"quick": entry, "usual": {}})
    model = make(arch, force_quick_gelu=True)
    model.load_state_dict(state_of(folder))
    wanted = reference(model, open_clip.get_tokenizer(arch), pictures, None, None)
    embedder = open_embedder(f"{arch}/quick@{file}", "cpu")
    np.testing.assert_allclose(embedder.embed_images(pictures), wanted[0], atol=2e-5)
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), wanted[1], atol=2e-5)
    assert abs(open_embedder(f"{arch}@{file}", "cpu").embed_images(pictures) - wanted[0]).max() > 1e-4


def test_names_that_are_unknown_are_met_with_the_nearest(tmp_path: Path):
    file = tmp_path / "w.pt"
    file.write_bytes(b"")
    assert "ViT-B-32/laion2b_s34b_b79k" in one_line(lambda: open_embedder("ViT-B-32/laion2b_s34b_b79"))
    assert "ViT-B-32" in one_line(lambda: open_embedder(f"ViTB32@{file}"))
    assert "models list" in one_line(lambda: open_embedder("zzz/qqq"))
    assert "ARCH/TAG" in one_line(lambda: open_embedder("ViT-B-32"))


@pytest.mark.usefixtures("hub")
def test_weights_that_are_not_here_are_not_fetched():
    message = one_line(lambda: open_embedder("ViT-B-32/laion2b_s34b_b79k"))
    assert message.endswith("run: sightseek models prepare ViT-B-32/laion2b_s34b_b79k (about 605 MB)")
    assert "models prepare hf-hub:someone/model" in one_line(lambda: open_embedder("hf-hub:someone/model"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf-hub:nobody", "hf-hub:ORGANISATION/NAME"),
        ("ViT-B-32@/nowhere/w.pt", "there is no checkpoint"),
        ("@w.pt", "no architecture"),
        ("/nowhere/at/all", "there is no model folder"),
        ("./nowhere", "there is no model folder"),
        ("ViT-B-32@setup.cfg", "there is no checkpoint"),
        ("a/b/c", "ARCH/TAG"),
    ],
)
def test_wrong_names(name: str, words: str):
    assert words in one_line(lambda: open_embedder(name))


def test_a_file_of_another_kind_is_no_checkpoint(tmp_path: Path):
    (tmp_path / "w.zip").write_bytes(b"")
    with pytest.raises(ModelNotFound, match=r"\.safetensors"):
        parse_name(f"ViT-B-32@{tmp_path / 'w.zip'}")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x02}q\x00." * 3, b"[1, 2]"])
def test_a_damaged_checkpoint_is_refused_in_one_line(arch: str, tmp_path: Path, suffix: str, content: bytes):
    file = tmp_path / f"w{suffix}"
    file.write_bytes(content)
    embedder = open_embedder(f"{arch}@{file}", "cpu")
    assert str(file) in one_line(lambda: embedder.embed_texts(["a"]))


def test_a_checkpoint_cannot_run_code(arch: str, tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({"state_dict": Trap()}, tmp_path / "w.pt")
    embedder = open_embedder(f"{arch}@{tmp_path / 'w.pt'}", "cpu")
    one_line(lambda: embedder.embed_texts(["a"]))
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_architecture_do_not_fit(folder: Path):
    embedder = open_embedder(f"ViT-S-32@{folder / 'open_clip_model.safetensors'}", "cpu")
    assert "does not fit the architecture" in one_line(lambda: embedder.embed_texts(["a"]))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_cfg": {"embed_dim": 3}}'])
def test_a_damaged_configuration_is_refused_in_one_line(folder: Path, tmp_path: Path, content: str):
    broken = Path(shutil.copytree(folder, tmp_path / "m"))
    (broken / "open_clip_config.json").write_text(content)
    assert "open_clip_config.json cannot be read" in one_line(lambda: open_embedder(str(broken)))


def test_a_folder_without_weights(folder: Path, tmp_path: Path):
    shutil.copy(folder / "open_clip_config.json", tmp_path)
    assert "holds no weights" in one_line(lambda: open_embedder(str(tmp_path)))
    (tmp_path / "mine.pt").write_bytes(b"")
    assert checkpoint_in(tmp_path) == tmp_path / "mine.pt"
    (tmp_path / "yours.pt").write_bytes(b"")
    assert checkpoint_in(tmp_path) is None


def test_cuda_is_used_only_where_it_is(folder: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match="--device cpu"):
        open_embedder(str(folder), "cuda")


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path):
    file, notebook = tmp_path / "w.pt", tmp_path / "cache" / "digests.json"
    file.write_bytes(b"one")
    first = file_digest(file, notebook)
    notebook.write_text(notebook.read_text().replace(first, "remembered"))
    assert file_digest(file, notebook) == "remembered"
    file.write_bytes(b"three")
    second = file_digest(file, notebook)
    assert second not in (first, "remembered")
    notebook.write_text("broken")
    assert file_digest(file, notebook) == second
    assert file_digest(file, tmp_path / "w.pt" / "no folder") == second


def run(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, cwd=root, timeout=120, check=False
    )


def test_without_the_extra_one_line_says_how_to_get_it(tiny_folder: Path):
    """A child process in which PyTorch and OpenCLIP cannot be imported."""
    code = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "open_clip", "timm", "torchvision"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Gone())
from retrieval.embedding import open_embedder
from retrieval.embedding.catalogue import list_models, prepare
from retrieval.errors import ModelNotFound
for call in (lambda: open_embedder("ViT-B-32/openai"), lambda: prepare("ViT-B-32/openai", print)):
    try:
        call()
    except ModelNotFound as error:
        print(error)
print(len(list_models()) > 4, open_embedder(sys.argv[1]).embed_texts(["red"]).shape)
"""
    done = run(code, str(tiny_folder))
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == second
    assert first == "ViT-B-32/openai needs PyTorch and OpenCLIP; run: pip install 'sightseek[clip]'"
    assert third == "True (1, 64)"


def test_what_is_imported_when(tiny_folder: Path):
    code = """
import sys
def loaded(): return sorted({"torch", "open_clip", "onnxruntime", "tokenizers", "PIL", "av"} & set(sys.modules))
import retrieval.embedding, retrieval.embedding.catalogue
print(loaded())
embedder = retrieval.embedding.open_embedder(sys.argv[1])
print(loaded())
embedder.embed_texts(["red"])
print(loaded())
"""
    done = run(code, str(tiny_folder))
    assert done.stdout.splitlines() == ["[]", "[]", "['onnxruntime', 'tokenizers']"]
    assert done.stderr == ""


@pytest.mark.slow
def test_a_real_architecture(tmp_path: Path, pictures):
    from safetensors.torch import save_file

    model = make("ViT-B-32")
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    wanted = reference(model, open_clip.get_tokenizer("ViT-B-32"), pictures, None, None)
    del model
    embedder = open_embedder(f"ViT-B-32/laion2b_s34b_b79k@{tmp_path / 'w.safetensors'}", "cpu")
    np.testing.assert_allclose(embedder.embed_images(pictures), wanted[0], atol=2e-5)
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), wanted[1], atol=2e-5)
    assert embedder.dim == 512
