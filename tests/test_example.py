"""The example of the documentation, run as a reader would run it."""

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from tests.media_makers import write_clip, write_picture

REPOSITORY = Path(__file__).resolve().parents[1]


def drawn(colour: str, shape: str) -> Image.Image:
    image = Image.new("RGB", (320, 240), "white")
    draw = getattr(ImageDraw.Draw(image), "ellipse" if shape == "circle" else "rectangle")
    draw((90, 50, 230, 190), fill=colour)
    return image


def run(folder: Path, collection: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "docs" / "example.py"), str(folder), str(collection)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)


def test_the_example_runs_twice(tmp_path: Path) -> None:
    for colour in ("red", "blue", "green"):
        for shape in ("circle", "square"):
            write_picture(tmp_path / "media" / f"{colour} {shape}.png", drawn(colour, shape))
    write_clip(tmp_path / "media" / "shapes.mp4", [(drawn("blue", "square"), 2.0), (drawn("red", "circle"), 2.0)])
    (tmp_path / "media" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    first = run(tmp_path / "media", tmp_path / "collection").stdout
    assert "7 files embedded, 0 unchanged, 1 failed" in first
    assert "broken.jpg: damaged picture" in first
    hits = [line for line in first.splitlines() if line.startswith("  1. ")]
    assert len(hits) == 1
    assert "red" in hits[0] or "shapes.mp4 at" in hits[0]
    again = run(tmp_path / "media", tmp_path / "collection").stdout
    assert "0 files embedded, 7 unchanged" in again
    assert again.splitlines()[-6:] == first.splitlines()[-6:]
