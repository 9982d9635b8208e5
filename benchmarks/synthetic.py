"""Makes synthetic clips of known shots from photographs: windows that pan or zoom over one photograph after another.

Codec, frame rate, size and where keyframes stand vary from clip to clip (with keyframes at cuts, and without), and are
the same for the same seed.
"""

import json
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from PIL import Image

SHOTS = (5, 12)
SHOT_S = (1.5, 5.0)
WINDOW = (0.65, 1.0)
RATES = (Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(15))
SIZES = ((320, 240), (426, 240), (240, 320))


class Coding(NamedTuple):
    """How a clip is encoded; ``keyframes_s`` is the longest time between two keyframes in seconds."""

    suffix: str
    codec: str
    keyframes_s: float
    options: dict[str, str]


CODINGS = (
    Coding(".mp4", "libx264", 10.0, {"preset": "veryfast"}),
    Coding(".mp4", "libx264", 10.0, {"preset": "veryfast", "sc_threshold": "0"}),
    Coding(".mkv", "libx264", 1.0, {"preset": "veryfast", "sc_threshold": "0"}),
    Coding(".mp4", "libx264", 2.0, {"preset": "ultrafast", "crf": "30"}),
    Coding(".avi", "mpeg4", 0.5, {"sc_threshold": "1000000000"}),
    Coding(".webm", "libvpx-vp9", 5.0, {"deadline": "realtime", "cpu-used": "8"}),
)


class Shot(NamedTuple):
    """What is shown from ``start_s`` to ``end_s``: the photograph of that name."""

    picture: str
    start_s: float
    end_s: float


class Clip(NamedTuple):
    """A clip that was made, and what it shows."""

    file: str
    coding: str
    rate: float
    shots: tuple[Shot, ...]


def pictures_of(captions: Path, split: str) -> dict[str, list[str]]:
    """Return the pictures of a split with their captions, from lines of ``image TAB split TAB caption``."""
    found: dict[str, list[str]] = {}
    for line in captions.read_text(encoding="utf-8").splitlines():
        name, belongs, caption = line.split("\t")[:3]
        if belongs == split:
            found.setdefault(name, []).append(caption)
    return found


def make_clips(images: Path, names: Sequence[str], folder: Path, seed: int = 0) -> list[Clip]:
    """Show each photograph in one shot of one clip; clips that exist already from the same call are taken as they are.

    Labelled: the folder holds ``clips.json`` with what was made, and each name begins with ``synthetic``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "clips.json"
    if record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        return [Clip(*one[:3], tuple(Shot(*shot) for shot in one[3])) for one in known]
    rng = random.Random(seed)
    shuffled = sorted(names)
    rng.shuffle(shuffled)
    clips = []
    while shuffled:
        count = rng.randint(*SHOTS)
        if 0 < len(shuffled) - count < SHOTS[0]:
            count = min(len(shuffled), SHOTS[1])
        chosen, shuffled = shuffled[:count], shuffled[count:]
        clips.append(_make(images, chosen, folder, len(clips), rng))
    record.write_text(json.dumps(clips), encoding="utf-8")
    return clips


def _make(images: Path, names: Sequence[str], folder: Path, number: int, rng: random.Random) -> Clip:
    coding = CODINGS[number % len(CODINGS)]
    rate, size = rng.choice(RATES), rng.choice(SIZES)
    if coding.codec == "mpeg4":
        rate = Fraction(25)
    path = folder / f"synthetic-{number:03d}{coding.suffix}"
    shots: list[Shot] = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream(coding.codec, rate=rate, options=dict(coding.options))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = max(1, round(coding.keyframes_s * rate))
        if coding.codec != "libx264":
            stream.codec_context.bit_rate = 1_000_000
        index = 0
        for name in names:
            frames = round(rng.uniform(*SHOT_S) * rate)
            for picture in _moving(Image.open(images / name).convert("RGB"), size, frames, rng):
                frame = av.VideoFrame.from_image(picture)
                frame.pts, frame.time_base = index, 1 / rate
                container.mux(stream.encode(frame))
                index += 1
            shots.append(Shot(name, float((index - frames) / rate), float(index / rate)))
        container.mux(stream.encode(None))
    words = ",".join(f"{key}={value}" for key, value in coding.options.items())
    label = f"{coding.codec} keyframes {coding.keyframes_s:g} s {words}"
    return Clip(path.name, label, float(rate), tuple(shots))


def _moving(picture: Image.Image, size: tuple[int, int], frames: int, rng: random.Random) -> Iterator[Image.Image]:
    """Yield a window of the clip's shape that glides from one place and size over the photograph to another."""
    width, height = picture.size
    aspect = size[0] / size[1] / (4 / 3)  # photographs are stored squashed; most were 4:3
    ends = []
    for _ in range(2):
        scale = rng.uniform(*WINDOW)
        wide, high = width * scale * min(1.0, aspect), height * scale * min(1.0, 1 / aspect)
        left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
        ends.append((left, top, left + wide, top + high))
    for place in range(frames):
        part = place / max(1, frames - 1)
        box = tuple(a + part * (b - a) for a, b in zip(*ends, strict=True))
        yield picture.resize(size, Image.Resampling.BILINEAR, box=box)
