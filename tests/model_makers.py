"""Writes a complete tiny model folder: real ONNX graphs of fixed weights that know colours and coarse layout.

The picture tower counts how much of a picture is of each colour in ``COLOURS`` and looks at a 4 x 4 grid; the text
tower puts the names of these colours where pictures of that colour are and all other words near the origin. So equal
pictures have equal vectors, different ones differ, and "a red car" finds the red picture without any real model.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "green": (0, 200, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
    "orange": (255, 140, 0),
}
"""Colour words the text tower knows and the RGB values they stand for."""
POISON = (255, 0, 255)
"""A picture wholly of this colour gets NaN from a folder written with ``poison=True``."""

SIZE = 32
_CELLS = 4
_WORDS = (
    "a an the of in on at and or with without near no not is are photo picture image video clip frame square circle "
    "dog cat bird horse car bus boat train tree flower grass snow sand sea beach sky sun moon night day street house "
    "man woman child girl boy people person two three big small old new left right top bottom stripe dot"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def write_tiny_model(
    folder: Path,
    *,
    dim: int = 64,
    seed: int = 0,
    name: str = "tiny",
    context_length: int = 32,
    padding: str = "longest",
    lowercase: bool = True,
    resize: str = "squash",
    poison: bool = False,
    size: int = SIZE,
) -> Path:
    """Write the folder (made if missing) and return it.

    ``dim`` is at least 12; pictures are scaled to ``size`` pixels, a multiple of 4, either way.
    Folders of the same arguments are byte for byte equal; another ``seed`` turns all vectors
    (so the fingerprint differs, and cosines within one folder stay the same). Text is at most ``context_length`` tokens
    with two special ones; a word that is not in the vocabulary is cut into its letters. Nothing in the tokenizer
    lower-cases: ``lowercase`` in model.json does.
    """
    pytest.importorskip("onnx")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)
    (folder / "image.onnx").write_bytes(_image_graph(dim, turn, poison, size))
    vocabulary = _vocabulary()
    (folder / "text.onnx").write_bytes(_text_graph(vocabulary, dim, turn))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer(vocabulary), indent=1), encoding="utf-8")
    settings = {
        "format": 1,
        "name": name,
        "version": "1",
        "dim": dim,
        "image": {
            "file": "image.onnx",
            "height": size,
            "width": size,
            "resize": resize,
            "interpolation": "bicubic",
        },
        "text": {
            "file": "text.onnx",
            "tokenizer": "tokenizer.json",
            "context_length": context_length,
            "padding": padding,
            "pad_id": 0,
            "lowercase": lowercase,
            "languages": ["en"],
        },
        "description": "A tiny model for tests.",
        "knows": "Knows colours and coarse layout, nothing else.",
        "files": {
            file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
            for file in ("image.onnx", "text.onnx", "tokenizer.json")
        },
    }
    (folder / "model.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return folder


def rewrite_settings(folder: Path, **changes: object) -> None:
    """Change keys of a folder's model.json; ``image={"height": 48}`` changes inside a part, ``None`` removes a key."""
    path = folder / "model.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            settings.pop(key)
        elif isinstance(value, dict) and isinstance(settings.get(key), dict):
            settings[key].update(value)
        else:
            settings[key] = value
    path.write_text(json.dumps(settings), encoding="utf-8")


def plain(colour: str | tuple[int, int, int], height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Pixels ``(height, width, 3) uint8`` of one colour, by name or RGB."""
    rgb = COLOURS[colour] if isinstance(colour, str) else colour
    return np.full((height, width, 3), rgb, dtype=np.uint8)


def _image_graph(dim: int, turn: NDArray[np.float32], poison: bool, size: int) -> bytes:
    from onnx import TensorProto, helper

    anchors = np.array(list(COLOURS.values()), dtype=np.float32) / 255.0
    cells = _CELLS * _CELLS * 3
    layout = np.random.default_rng(7).standard_normal((cells, dim - len(anchors))).astype(np.float32)
    layout *= 1.5 / cells**0.5
    # A plain picture has no layout: the mean of each channel over the grid is taken away.
    layout = layout.reshape(3, -1, layout.shape[1])
    layout = (layout - layout.mean(axis=1, keepdims=True)).reshape(cells, -1)
    sharpness = 12.0
    nodes = [
        helper.make_node("Cast", ["pixels"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["bytes", "full"], ["x"]),
        helper.make_node("Reshape", ["x", "as_rows"], ["rows"]),
        helper.make_node("MatMul", ["rows", "anchors"], ["near"]),
        helper.make_node("Sub", ["near", "offsets"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["shares"], axis=-1),
        helper.make_node("ReduceMean", ["shares"], ["colours"], axes=[1], keepdims=0),
        helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["grid"], kernel_shape=[size // _CELLS] * 2, strides=[size // _CELLS] * 2
        ),
        helper.make_node("Flatten", ["grid"], ["cells"], axis=1),
        helper.make_node("MatMul", ["cells", "layout"], ["places"]),
        helper.make_node("Concat", ["colours", "places"], ["seen"], axis=1),
        helper.make_node("MatMul", ["seen", "turn"], ["turned"]),
        *_normalise("turned"),
    ]
    constants = {
        "full": np.array(255.0, dtype=np.float32),
        "as_rows": np.array([0, -1, 3], dtype=np.int64),
        "anchors": (2 * sharpness * anchors.T).astype(np.float32),
        "offsets": (sharpness * (anchors**2).sum(axis=1)).astype(np.float32),
        "layout": layout,
        "turn": turn,
    }
    if poison:
        # 0 / distance is 0 everywhere but at the poison itself, where it is NaN.
        nodes[-2:] = [
            helper.make_node("Sub", ["bytes", "poison"], ["away"]),
            helper.make_node("Abs", ["away"], ["apart"]),
            helper.make_node("Flatten", ["apart"], ["flat"], axis=1),
            helper.make_node("ReduceMax", ["flat"], ["distance"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["distance", "zero"], ["nothing"]),
            helper.make_node("Div", ["nothing", "distance"], ["zero_or_nan"]),
            helper.make_node("Add", ["turned", "zero_or_nan"], ["marked"]),
            *_normalise("marked"),
        ]
        constants |= {"poison": np.array(POISON, dtype=np.float32), "zero": np.array(0.0, dtype=np.float32)}
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", size, size, 3])]
    return _model("image", nodes, inputs, constants, dim)


def _text_graph(vocabulary: list[str], dim: int, turn: NDArray[np.float32]) -> bytes:
    from onnx import TensorProto, helper

    rng = np.random.default_rng(11)
    table = rng.standard_normal((len(vocabulary), dim)).astype(np.float32) / np.float32(dim**0.5)
    scale = np.array([0.05 if word.removeprefix("##") in _LETTERS else 0.15 for word in vocabulary], dtype=np.float32)
    table *= scale[:, None]
    for position, colour in enumerate(COLOURS):
        table[vocabulary.index(colour)] = np.eye(dim, dtype=np.float32)[position]
    table[vocabulary.index("gray")] = table[vocabulary.index("grey")]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"], axis=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["words", "mask3"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "second"], ["bag"], keepdims=0),
        helper.make_node("MatMul", ["bag", "turn"], ["turned"]),
        *_normalise("turned"),
    ]
    constants = {
        "table": table,
        "last": np.array([2], dtype=np.int64),
        "second": np.array([1], dtype=np.int64),
        "turn": turn,
    }
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["n", "t"]),
    ]
    return _model("text", nodes, inputs, constants, dim)


def _normalise(name: str) -> list[object]:
    from onnx import helper

    return [
        helper.make_node("ReduceL2", [name], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", [name, "length"], ["vectors"]),
    ]


def _model(
    name: str, nodes: list[object], inputs: list[object], constants: dict[str, NDArray[np.generic]], dim: int
) -> bytes:
    from onnx import TensorProto, checker, helper, numpy_helper

    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", dim])]
    arrays = [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="sightseek tests")
    made.ir_version = 8
    checker.check_model(made)
    return made.SerializeToString(deterministic=True)


def _vocabulary() -> list[str]:
    letters = [*_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    return list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *COLOURS, "gray", *_WORDS.split(), *letters]))


def _tokenizer(vocabulary: list[str]) -> dict[str, object]:
    special = [
        {
            "id": vocabulary.index(token),
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    ]
    begin, end = ({"SpecialToken": {"id": token, "type_id": 0}} for token in ("[CLS]", "[SEP]"))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}, end],
            "pair": [begin, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, end],
            "special_tokens": {
                token: {"id": token, "ids": [vocabulary.index(token)], "tokens": [token]}
                for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: index for index, word in enumerate(vocabulary)},
        },
    }
