"""Writes a model folder whose image tower computes in eight bits; no PyTorch."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.embedding.folder import ModelFolder, digest_of, read_model_folder
from retrieval.embedding.mapped import weights_name
from retrieval.embedding.onnx import OnnxEmbedder
from retrieval.errors import MediaError, ModelError
from retrieval.media import IMAGE_SUFFIXES, open_picture
from retrieval.messages import _
from retrieval.training.placing import beside, check_place, swap
from retrieval.training.quantising import Feed, Quantised, quantise

SETTING, COMPARING = 64, 128
"""Pictures that set scales, and others on which vectors are compared."""
LEAST_PICTURES = 48
_BATCH = 4


def export_in_eight_bits(
    source: Path, pictures: Path, out: Path, *, force: bool, report: Callable[[str], None]
) -> Quantised:
    """Write the model folder ``source`` to ``out``, its image tower in eight bits with scales from ``pictures``.

    Raises:
        ModelError: ``out`` is there (with ``force``: and is no model folder), ``source`` cannot be read or is no
            transformer, too few pictures can be read, or in eight bits other pictures would be found.
    """
    read_model_folder(source)
    out = out.absolute()
    check_place(out, force)
    with beside(out) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
        made = put_in_eight_bits(folder, pictures, report)
        swap(folder, out)
    return made


def put_in_eight_bits(folder: Path, pictures: Path, report: Callable[[str], None]) -> Quantised:
    """Replace the image tower of a model folder by one in eight bits, and say so in model.json and README.md.

    Scales are set by a third of up to 192 pictures below the folder ``pictures``; the others are compared.

    Raises:
        ModelError: as ``export_in_eight_bits``.
    """
    model = read_model_folder(folder)
    report(_("reading pictures below {folder}").format(folder=pictures))
    pixels = _read(pictures, OnnxEmbedder(folder, model.name, "cpu"))
    third = len(pixels) * SETTING // (SETTING + COMPARING)
    report(_("turning the image tower into eight bits, with scales from {count} pictures").format(count=third))
    tower = folder / model.image_file
    made = quantise(tower, tower, _feeds(pixels[:third]), _feeds(pixels[third:]))
    _describe(model, made, third)
    report(
        _(
            "eight bits: {some} of {all} products of matrices; {kept:.1%} of the ten nearest pictures remain; "
            "lowest cosine {cosine:.4f}"
        ).format(some=made.in_eight_bits, all=made.products, kept=made.kept, cosine=made.cosine)
    )
    return made


def _feeds(pixels: NDArray[np.uint8]) -> list[Feed]:
    return [{"pixels": pixels[at : at + _BATCH]} for at in range(0, len(pixels), _BATCH)]


def _read(pictures: Path, embedder: OnnxEmbedder) -> NDArray[np.uint8]:
    """Return pictures below a folder at the tower's size, chosen evenly, in an order of no meaning."""
    if not pictures.is_dir():
        raise ModelError(_("{folder} is not a folder; name one that holds pictures").format(folder=pictures))
    paths = sorted(_below(pictures))
    wanted = SETTING + COMPARING
    order = np.random.default_rng(0).permutation(len(paths))
    target = max(embedder.spec.preprocessing.height, embedder.spec.preprocessing.width)
    found: list[NDArray[np.uint8]] = []
    for at in order:
        if len(found) == wanted:
            break
        try:
            found.append(embedder.preprocess(open_picture(paths[at], target)))
        except (MediaError, OSError):
            continue
    if len(found) < LEAST_PICTURES:
        raise ModelError(
            _("{count} pictures can be read below {folder}; --int8 needs {least} like those it is for").format(
                count=len(found), folder=pictures, least=LEAST_PICTURES
            )
        )
    return np.stack(found)


def _below(folder: Path) -> Iterator[Path]:
    for where, _folders, names in os.walk(folder):
        yield from (Path(where, name) for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES)


def _describe(model: ModelFolder, made: Quantised, count: int) -> None:
    """Bring model.json and README.md up to date: another image tower, whose vectors are another model's."""
    path = model.path / "model.json"
    content = json.loads(path.read_bytes())
    weights = weights_name(model.image_file)
    content["image"].pop("weights", None)
    files = set(content["files"]) - {model.image_weights}
    if (model.path / weights).is_file():
        content["image"]["weights"] = weights
        files.add(weights)
    content["files"] = {file: digest_of(model.path / file) for file in sorted(files)}
    content["version"] = f"{content['version']}-int8"
    content["description"] = f"{content['description']} Image tower in eight bits."
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    rows = "\n".join(f"| `{file}` | `{sha}` |" for file, sha in content["files"].items())
    with (model.path / "README.md").open("a", encoding="utf-8") as readme:
        readme.write(f"""
## In eight bits

`models export --int8` put {made.in_eight_bits} of the image tower's {made.products} products of matrices into whole
numbers of eight bits, with scales from {count} pictures. On other pictures of the same folder {made.kept:.1%} of the
ten nearest remain, and the lowest cosine to a vector of the tower before is {made.cosine:.4f}. The files are now:

| file | SHA-256 |
|---|---|
{rows}
""")
