"""The model card: `card.md` filled in with what the exported folder measures."""

import hashlib
from pathlib import Path
from string import Template

from retrieval.training.report import Towers, as_rows, measure_classes, measure_split

TEMPLATE = Path(__file__).with_name("card.md")
HASHED = ("image.onnx", "text.onnx", "tokenizer.json", "classes.txt", "model.json")


def write_card(folder: Path, data: Path, classes: Path | None) -> None:
    """Measure the exported folder and write its `README.md`.

    Recall is of the splits dev and test of `data`; class retrieval of `classes`, if given.
    """
    towers = Towers(folder)
    values = {split: as_rows(measure_split(towers, data, split)) for split in ("dev", "test")}
    values["classes"] = f"{measure_classes(towers, classes):.1f}" if classes else "not measured"
    values["files"] = "\n".join(file_rows(folder))
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)
    (folder / "README.md").write_text(text, encoding="utf-8")


def file_rows(folder: Path) -> list[str]:
    """A Markdown table row per file: name, size in bytes, SHA-256."""
    rows = []
    for name in HASHED:
        content = (folder / name).read_bytes()
        rows.append(f"| `{name}` | {len(content):,} | `{hashlib.sha256(content).hexdigest()}` |")
    return rows
