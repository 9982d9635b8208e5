"""Measures what sampling a video costs beside decoding all of it, and how near indexing clips comes to its limit.

    python -m benchmarks.video FOLDER [--model NAME] [--clips 6] [--seconds 30] [--runs 3]

Clips of 1920 x 1080 pixels at 30 frames a second are made of the photographs in FOLDER, over which a window pans,
with cuts between them: H.264 of `libx264` as it is set by default (a keyframe at cuts, else each 250 frames).
`every_frame` decodes each frame and does nothing with it; `every_frame_scaled` scales each as it would be embedded;
`keyframes`, `auto` and the rest read the clip as `index --frames` does. All of these are processor seconds for a clip;
`..._times` is how often the pass goes into `every_frame`, `..._times_scaled` into `every_frame_scaled`. A clip whose
keyframes are further apart than two seconds is decoded nearly whole by `auto`. `index` is compared with (processor time
of reading the clips by `auto` + that of the model on as many ready pictures) over the number of processors: `rate` is
that limit over the wall time of the command less its start, `processor_rate` the same of processor time.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.machine import machine
from benchmarks.watching import indexed
from retrieval.bench import measure_decoding, measure_encoding
from retrieval.config import Sampling
from retrieval.embedding import open_embedder
from retrieval.embedding.base import Embedder, processors
from retrieval.embedding.stream import default_workers
from retrieval.media import MEDIA_SUFFIXES, open_media
from retrieval.types import Pixels

_WIDTH, _HEIGHT, _RATE = 1920, 1080, 30
_SHOT_S = 6.0
_ROOM = 1.4
"""How much larger than a frame the picture is that a shot pans over."""
_NOISE = 4.0
_SAMPLINGS = ("keyframes", "auto", "every:1s")


def make_clip(pictures: Sequence[Path], path: Path, seconds: float, seed: int = 0) -> Path:
    """Write a clip of shots of ``_SHOT_S`` seconds, each panning over one of the pictures; return the file."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(pictures), int(seconds / _SHOT_S) + 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(_RATE))
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast"}
        for number in range(int(seconds * _RATE)):
            shot, at = divmod(number / _RATE / _SHOT_S, 1.0)
            if number == 0 or at < 1 / _RATE / _SHOT_S:
                wide = _canvas(pictures[chosen[int(shot)]], rng)
            left, top = round(at * (wide.shape[1] - _WIDTH)), round(at * (wide.shape[0] - _HEIGHT))
            pixels = np.ascontiguousarray(wide[top : top + _HEIGHT, left : left + _WIDTH])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _canvas(picture: Path, rng: np.random.Generator) -> Pixels:
    """Return a photograph larger than a frame, with noise as of a sensor."""
    width, height = int(_WIDTH * _ROOM), int(_HEIGHT * _ROOM)
    with Image.open(picture) as opened:
        scaled = opened.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0.0, _NOISE, (height, width, 1)).astype(np.float32)
    return np.clip(np.asarray(scaled, np.float32) + grain, 0, 255).astype(np.uint8)


def every_frame(path: Path) -> int:
    """Decode each frame with one thread; return how many there are."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _frame in container.decode(stream))


def bare_keyframes(path: Path) -> int:
    """Decode the keyframes with one thread and do nothing with them; return how many there are."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.skip_frame = "NONKEY"
        return sum(len(packet.decode()) for packet in container.demux(stream) if packet.is_keyframe or not packet.size)


def sampled(path: Path, sampling: Sampling, embedder: Embedder) -> int:
    """Read a clip as ``index`` does, without the model; return how many frames would be embedded."""
    target = max(embedder.spec.preprocessing.height, embedder.spec.preprocessing.width)
    with open_media(path, sampling, target) as media:
        return sum(1 for sample in media if embedder.preprocess(sample.pixels) is not None)


def cost(work: Callable[[], int], runs: int) -> tuple[int, float]:
    """Return what work counts, and the least processor seconds it took."""
    times, count = [], 0
    for _run in range(runs):
        began_s = time.process_time()
        count = work()
        times.append(time.process_time() - began_s)
    return count, min(times)


def passes(path: Path, embedder: Embedder, runs: int) -> dict[str, float]:
    """Measure each way to read one clip."""
    frames, whole_s = cost(lambda: every_frame(path), runs)
    scaled, scaled_s = cost(lambda: sampled(path, Sampling("all"), embedder), 1)
    found: dict[str, float] = {"frames": frames, "scaled_frames": scaled}
    found |= {"every_frame_s": whole_s, "every_frame_scaled_s": scaled_s}
    found["bare_keyframes_s"] = bare_s = cost(lambda: bare_keyframes(path), runs)[1]
    found["bare_keyframes_times"] = whole_s / bare_s
    for name in _SAMPLINGS:
        sampling = Sampling.parse(name)
        count, seconds = cost(lambda sampling=sampling: sampled(path, sampling, embedder), runs)  # type: ignore[misc]
        found |= {f"{name}_frames": count, f"{name}_s": seconds}
        found |= {f"{name}_times": whole_s / seconds, f"{name}_times_scaled": scaled_s / seconds}
    return found


def end_to_end(clips: Sequence[Path], model: str, embedder: Embedder, scratch: Path, runs: int) -> dict[str, float]:
    """Measure ``index`` over clips against reading them alone and the model alone, in turn."""
    (scratch / "one").mkdir()
    (scratch / "one" / clips[0].name).symlink_to(clips[0])
    rows: list[dict[str, float]] = []
    for number in range(runs):
        start = indexed(model, scratch / "one", scratch / f"start{number}")
        encoding = measure_encoding(embedder, 6.0)
        decoding = measure_decoding(clips, embedder, Sampling(), default_workers(), 1e9)
        alone = measure_decoding(clips[:1], embedder, Sampling(), 1, 1e9)
        ran = indexed(model, clips[0].parent, scratch / f"all{number}")
        # The start indexes one clip, so that it is the same command: its clip is taken off both.
        each_s = (decoding.processor_s - alone.processor_s) + (decoding.pictures - alone.pictures) * encoding.each_s
        limit_s = each_s / processors()
        row = {"limit_s": limit_s, "wall_s": ran.wall_s - start.wall_s, "frames": float(decoding.pictures)}
        row |= {"rate": limit_s / row["wall_s"], "processor_rate": each_s / (ran.processor_s - start.processor_s)}
        rows.append(row | {"resident_mb": ran.resident_bytes / 1e6})
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def main() -> None:
    """Make, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    pictures = sorted(path for path in given.folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES)
    embedder = open_embedder(given.model, "cpu")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        (scratch / "clips").mkdir()
        names = (scratch / "clips" / f"{number:02}.mp4" for number in range(given.clips))
        clips = [make_clip(pictures, path, given.seconds, seed) for seed, path in enumerate(names)]
        size_mb = statistics.mean(path.stat().st_size for path in clips) / 1e6
        one = passes(clips[0], embedder, given.runs)
        sys.stderr.write(json.dumps(one) + "\n")
        many = end_to_end(clips, given.model, embedder, scratch, given.runs)
    figures = {name: round(value, 4) for name, value in (one | {f"index_{key}": many[key] for key in many}).items()}
    print(json.dumps({"clips": given.clips, "mb_each": round(size_mb, 2), **figures, **machine()}, indent=1))


if __name__ == "__main__":
    main()
