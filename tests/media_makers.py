"""Makes small pictures and clips of known content for tests: what is drawn is what must come out of the decoders.

Pictures are ``PIL.Image``; every ``write_*`` makes missing folders, writes ``path`` and returns it. Nothing is random
beyond the given ``seed``, so the same call makes the same pixels.

    picture = draw_picture(7, (320, 240))               # coloured shapes, different for each seed
    write_picture(tmp_path / "a.jpg", picture, quality=90)
    write_clip(tmp_path / "a.mp4", [("red", 2.0), (picture, 3.0)], fps=25, keyframe_every=50, rotation=90)
    write_animation(tmp_path / "a.gif", ["red", "blue"], [400, 600])
"""

import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageColor, ImageDraw

Size = tuple[int, int]
"""(width, height) in pixels."""
Colour = str | tuple[int, int, int]
Shown = Colour | Image.Image | Callable[[float], Image.Image]
"""What a shot shows: a plain colour, a still picture, or a function from seconds since the shot began to a picture."""

QUADRANTS: dict[str, tuple[int, int, int]] = {
    "top left": (220, 30, 30),
    "top right": (30, 180, 40),
    "bottom left": (30, 50, 220),
    "bottom right": (240, 230, 60),
}
"""Colours of ``draw_quadrants``, by where they are when the picture is shown upright."""


# ---------------------------------------------------------------------------------------------------- pictures


def draw_picture(seed: int, size: Size = (320, 240)) -> Image.Image:
    """Return an RGB picture of a gradient and a dozen coloured shapes; another seed is clearly another picture."""
    width, height = size
    rng = np.random.default_rng(seed)
    corners = rng.integers(30, 226, size=(2, 2, 3), dtype=np.uint8)
    picture = Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = rng.uniform(0, 1, 2) * (width, height)
        w, h = rng.uniform(0.08, 0.35, 2) * (width, height)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.integers(2) else draw.rectangle
        shape((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=colour)
    return picture


def draw_quadrants(size: Size = (64, 48)) -> Image.Image:
    """Return an RGB picture whose four quarters have the colours of ``QUADRANTS``: no two of its 8 turns look alike."""
    width, height = size
    picture = Image.new("RGB", size)
    for name, colour in QUADRANTS.items():
        left = 0 if "left" in name else width // 2
        top = 0 if "top" in name else height // 2
        picture.paste(colour, (left, top, left + width - width // 2, top + height - height // 2))
    return picture


def quadrants_of(pixels: np.ndarray) -> dict[str, tuple[int, int, int]]:
    """Return the mean colour in the middle of each quarter of ``(h, w, 3)`` pixels, named as in ``QUADRANTS``."""
    height, width = pixels.shape[:2]
    found = {}
    for name in QUADRANTS:
        x = width // 4 if "left" in name else width * 3 // 4
        y = height // 4 if "top" in name else height * 3 // 4
        rx, ry = max(1, width // 12), max(1, height // 12)
        patch = pixels[max(0, y - ry) : y + ry, max(0, x - rx) : x + rx].reshape(-1, 3).mean(axis=0)
        found[name] = tuple(round(float(c)) for c in patch)
    return found


def pan(picture: Image.Image, size: Size, seconds: float) -> Callable[[float], Image.Image]:
    """Return a moving shot for ``write_clip``: a window of ``size`` gliding over ``picture`` in ``seconds``."""
    width, height = size
    big = picture.resize((width * 2, height * 2), Image.Resampling.BICUBIC)

    def at(t: float) -> Image.Image:
        part = min(1.0, max(0.0, t / seconds))
        left, top = round(width * part), round(height * part)
        return big.crop((left, top, left + width, top + height))

    return at


def write_picture(path: Path, picture: Image.Image | None = None, **save: object) -> Path:
    """Save ``picture`` (default: ``draw_picture(0)``); ``save`` goes to Pillow, ``format=`` mislabels a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture or draw_picture(0)).save(path, **save)
    return path


def write_oriented(path: Path, orientation: int, size: Size = (64, 48)) -> Path:
    """Save a picture that is ``draw_quadrants(size)`` when shown, stored turned as EXIF ``orientation`` 1-8 says."""
    turn = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    picture = draw_quadrants(size)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return write_picture(path, picture if turn is None else picture.transpose(turn), exif=exif, quality=92)


# --------------------------------------------------------------------------------------------------- animations


def write_animation(
    path: Path,
    frames: Sequence[Colour | Image.Image],
    durations_ms: int | Sequence[int],
    size: Size = (96, 64),
    **save: object,
) -> Path:
    """Save an animated GIF, WebP, PNG or AVIF (by suffix); ``durations_ms`` is one number or one per frame."""
    pictures = [_picture(frame, size) for frame in frames]
    durations = durations_ms if isinstance(durations_ms, int) else list(durations_ms)
    options: dict[str, object] = {"duration": durations, "loop": 0, **save}
    return write_picture(path, pictures[0], save_all=True, append_images=pictures[1:], **options)


def write_gif(path: Path, shots: Sequence[tuple[Shown, float]], fps: float = 10, size: Size = (96, 64)) -> Path:
    """Save shots as a GIF with a frame each 1 / ``fps`` seconds."""
    pictures = [picture for _, picture in _frames(shots, fps, size)]
    return write_animation(path, pictures, round(1000 / fps), size)


# -------------------------------------------------------------------------------------------------------- clips


def write_clip(
    path: Path,
    shots: Sequence[tuple[Shown, float]],
    *,
    fps: float = 25,
    size: Size = (160, 120),
    rotation: int = 0,
    mirrored: bool = False,
    keyframe_every: int | None = None,
    variable: bool = False,
    start_s: float = 0.0,
    codec: str | None = None,
    sound: bool | Callable[[np.ndarray], np.ndarray] = False,
    pixel_aspect: Fraction | None = None,
    b_frames: int = 0,
) -> Path:
    """Encode shots ``(what is shown, seconds)`` one after the other; the container follows the suffix.

    ``rotation`` is in degrees clockwise: the stored frames are turned back by it, so that a player that obeys the
    display matrix shows them upright (``mirrored`` likewise: stored left to right). ``size`` is the size as shown.
    ``keyframe_every`` is in frames: a keyframe stands there and, unless it is given, at the start of each shot.
    ``variable`` drops two of three frames in every second half-second, so that frame index / fps is not the time.
    ``start_s`` shifts all timestamps; the container keeps them where its format can (Matroska, MPEG-TS).
    ``sound`` is a tone, or a function from seconds to samples from -1 to 1. ``b_frames`` is how many H.264 has between
    others: it stores them after what they are predicted from.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = codec or {".webm": "libvpx", ".avi": "mpeg4", ".mpg": "mpeg2video", ".wmv": "wmv2"}.get(
        path.suffix, "libx264"
    )
    rate = Fraction(fps).limit_denominator(1001)
    params = f"scenecut=0:bframes={b_frames}:b-adapt=0"
    options = {"x264-params": params, "preset": "ultrafast", "crf": "18"} if codec == "libx264" else {}
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stored = size if rotation % 180 == 0 else (size[1], size[0])
        stream.width, stream.height, stream.pix_fmt = stored[0], stored[1], "yuv420p"
        stream.codec_context.gop_size = keyframe_every or 100_000
        stream.codec_context.time_base = Fraction(1, 1000) if codec == "libx264" else 1 / rate
        if codec in ("mpeg4", "wmv2", "mpeg2video"):
            stream.codec_context.bit_rate = 2_000_000
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation or mirrored:
            stream.set_display_rotation(-rotation, hflip=mirrored)
        voice = container.add_stream("aac", rate=16000) if sound else None
        for at_s, frame in _video_frames(shots, float(rate), size, rotation, mirrored, keyframe_every, variable):
            frame.time_base = stream.codec_context.time_base
            frame.pts = round((at_s + start_s) / frame.time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            wave = sound if callable(sound) else _tone
            _encode_sound(container, voice, sum(seconds for _, seconds in shots), wave, start_s)
    return path


_CODECS = {".webm": "libvpx", ".avi": "mpeg4", ".mpg": "mpeg2video", ".wmv": "wmv2"}


def frame_times(shots: Sequence[tuple[Shown, float]], fps: float = 25, variable: bool = False) -> list[float]:
    """Return the times in seconds at which ``write_clip`` puts frames (without ``start_s``)."""
    count = round(sum(seconds for _, seconds in shots) * fps)
    return [i / fps for i in range(count) if not (variable and _dropped(i, fps))]


def write_sound(path: Path, seconds: float = 1.0, cover: Image.Image | None = None) -> Path:
    """Encode a tone and no moving pictures; ``cover`` is attached as cover art (MP3 and the like keep it)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        voice = container.add_stream("mp3" if path.suffix == ".mp3" else "aac", rate=16000)
        art = None
        if cover is not None:
            art = container.add_stream("mjpeg", rate=1)
            art.width, art.height, art.pix_fmt = cover.width, cover.height, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
            container.mux(art.encode(av.VideoFrame.from_image(cover).reformat(format="yuvj420p")))
            container.mux(art.encode(None))
        _encode_sound(container, voice, seconds, _tone)
    return path


def _picture(shown: Shown, size: Size, t: float = 0.0) -> Image.Image:
    if callable(shown):
        shown = shown(t)
    if isinstance(shown, Image.Image):
        return shown if shown.size == size else shown.resize(size, Image.Resampling.BICUBIC)
    colour = ImageColor.getrgb(shown) if isinstance(shown, str) else shown
    return Image.new("RGB", size, colour[:3])


def _frames(shots: Sequence[tuple[Shown, float]], fps: float, size: Size) -> Iterator[tuple[bool, Image.Image]]:
    """Yield (a shot begins, picture) at the frame rate; a shot covers the frames whose time is before its end."""
    index, end_s = 0, 0.0
    for shown, seconds in shots:
        first, begin = True, index / fps
        end_s += seconds
        still = None if callable(shown) else _picture(shown, size)
        while index < round(end_s * fps):
            yield first, still or _picture(shown, size, index / fps - begin)
            first = False
            index += 1


def _dropped(index: int, fps: float) -> bool:
    return int(index / fps / 0.5) % 2 == 1 and index % 3 != 0


def _video_frames(
    shots: Sequence[tuple[Shown, float]],
    fps: float,
    size: Size,
    rotation: int,
    mirrored: bool,
    keyframe_every: int | None,
    variable: bool,
) -> Iterator[tuple[float, av.VideoFrame]]:
    for index, (first, picture) in enumerate(_frames(shots, fps, size)):
        if variable and _dropped(index, fps):
            continue
        stored = picture.convert("RGB")
        if mirrored:
            stored = stored.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if rotation:
            stored = stored.rotate(rotation, expand=True)  # Pillow turns counter-clockwise: undone when shown
        frame = av.VideoFrame.from_image(stored)
        begins = index % keyframe_every == 0 if keyframe_every else first
        frame.pict_type = av.video.frame.PictureType.I if begins else av.video.frame.PictureType.NONE
        yield index / fps, frame


def _tone(seconds: np.ndarray) -> np.ndarray:
    return 0.2 * np.sin(2 * np.pi * 440 * seconds)


def _encode_sound(
    container: av.container.OutputContainer,
    voice: av.AudioStream,
    seconds: float,
    wave: Callable[[np.ndarray], np.ndarray],
    start_s: float = 0.0,
) -> None:
    block, rate = 1024, 16000
    for start in range(0, int(seconds * rate), block):
        samples = (wave((start + np.arange(block)) / rate) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start + round(start_s * rate), Fraction(1, rate)
        container.mux(voice.encode(frame))
    container.mux(voice.encode(None))


# ------------------------------------------------------------------------------------------------------- damage


def truncate(path: Path, keep: float) -> Path:
    """Cut a file in place to the first ``keep`` (0-1) of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def scramble(path: Path, start: float, end: float = 1.0, seed: int = 0) -> Path:
    """Overwrite the bytes between two parts (0-1) of a file in place with noise."""
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = np.random.default_rng(seed).bytes(last - first)
    path.write_bytes(bytes(data))
    return path


def copy_as(path: Path, name: str) -> Path:
    """Copy a file to another name in its folder and return the copy."""
    return Path(shutil.copy(path, path.with_name(name)))


def write_png_header(path: Path, size: Size) -> Path:
    """Write a PNG that claims ``size`` (1 bit a pixel) and holds next to nothing: a bomb for careless decoders."""
    from zlib import compress, crc32

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    header = struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compress(bytes(4096))) + chunk(b"IEND", b"")
    )
    return path
