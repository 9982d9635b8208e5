"""Lay out a small folder of pictures and clips to try sightseek on; nothing is downloaded.

    python data/make_sample.py [FOLDER]        # default: data/sample; needs the extra `dev` (scikit-image)

The photographs are those that ship inside the scikit-image package; the rest is cut from them or drawn. The same
call makes the same pixels.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image, ImageDraw

PHOTOGRAPHS = {
    "astronaut.png": ("people/astronaut in an orange suit.jpg", "Eileen Collins, NASA; public domain"),
    "camera.png": ("people/photographer with a camera on a tripod.jpg", "Lav Varshney; CC0"),
    "chelsea.png": ("animals/ginger cat.jpg", "Stefan van der Walt; CC0"),
    "coffee.png": ("food/cup of coffee on a wooden table.jpg", "Rachel Michetti, Pikolo Espresso Bar; CC0"),
    "coins.png": ("things/old greek coins.png", "Brooklyn Museum; no known copyright restrictions"),
    "rocket.jpg": ("space/rocket launch at night.jpg", "SpaceX; public domain"),
    "hubble_deep_field.jpg": ("space/galaxies and stars.jpg", "NASA, Hubble; public domain"),
    "retina.jpg": ("science/retina of an eye.jpg", "Wikimedia Commons, fundus photograph; CC0"),
    "cell.png": ("science/cell under a microscope.png", "scikit-image contributors; CC0"),
    "brick.png": ("textures/brick wall.jpg", "CC0Textures; CC0"),
    "grass.png": ("textures/grass.jpg", "linolafett; CC0"),
    "gravel.png": ("textures/gravel.jpg", "CC0Textures; CC0"),
    "clock_motion.png": ("things/wall clock.jpg", "Stefan van der Walt; public domain"),
    "horse.png": ("drawings/black horse silhouette.png", "Andreas Preuss; CC0"),
}
"""File in scikit-image's data folder: (path in the sample, who made it and under what terms)."""

CROPS = {
    "people/face of a smiling woman.jpg": ("astronaut.png", (0.3, 0.0, 0.6, 0.42)),
    "animals/eyes of a cat.jpg": ("chelsea.png", (0.25, 0.15, 0.75, 0.7)),
    "food/coffee from close by.jpg": ("coffee.png", (0.2, 0.05, 0.8, 0.75)),
    "space/flag and shuttle.jpg": ("astronaut.png", (0.0, 0.0, 0.32, 0.6)),
    "space/one corner of the sky.jpg": ("hubble_deep_field.jpg", (0.5, 0.5, 1.0, 1.0)),
    "things/three coins.jpg": ("coins.png", (0.0, 0.0, 0.4, 0.3)),
}
"""Path in the sample: (file in scikit-image's data folder, left, top, right and bottom as parts of it)."""

CLIP_SIZE, FPS = (320, 240), 12


def main(folder: Path) -> None:
    """Write the sample to ``folder`` and list what is there."""
    photographs = {name: _photograph(name) for name in PHOTOGRAPHS}
    made: list[str] = []

    def save(name: str, picture: Image.Image, **options: object) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, **options)
        made.append(name)

    for name, (target, _) in PHOTOGRAPHS.items():
        save(target, photographs[name])
    for target, (name, box) in CROPS.items():
        save(target, _crop(photographs[name], box))
    for target, picture in _drawings():
        save(target, picture)
    turned = Image.Exif()
    turned[0x0112] = 6
    sideways = photographs["coffee.png"].transpose(Image.Transpose.ROTATE_90)
    save("food/coffee, camera held upright.jpg", sideways, exif=turned)
    save("animals/cat in black and white.webp", photographs["chelsea.png"].convert("L"))
    for name, shots in _clips(photographs).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (_write_gif if name.endswith(".gif") else _write_clip)(folder / name, shots)
        made.append(name)
    (folder / "SOURCES.txt").write_text(_sources(), encoding="utf-8")
    print(f"{len(made)} pictures and clips in {folder}; where they come from: {folder / 'SOURCES.txt'}")


def _photograph(name: str) -> Image.Image:
    import skimage

    with Image.open(Path(skimage.__file__).parent / "data" / name) as picture:
        picture.load()
        if picture.mode in ("L", "RGB"):
            return picture.copy()
        ground = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def _crop(picture: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    left, top, right, bottom = box
    width, height = picture.size
    return picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def _drawings() -> Iterator[tuple[str, Image.Image]]:
    for colour in ("red", "green", "blue"):
        picture = Image.new("RGB", (400, 300), "white")
        ImageDraw.Draw(picture).ellipse((120, 70, 280, 230), fill=colour)
        yield f"drawings/{colour} circle.png", picture
    picture = Image.new("RGB", (400, 300), "skyblue")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 220, 400, 300), fill="forestgreen")
    draw.rectangle((130, 130, 270, 240), fill="firebrick")
    draw.polygon(((110, 130), (200, 60), (290, 130)), fill="saddlebrown")
    draw.rectangle((185, 180, 215, 240), fill="white")
    draw.ellipse((320, 20, 370, 70), fill="gold")
    yield "drawings/house under the sun.png", picture
    picture = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    ImageDraw.Draw(picture).regular_polygon((150, 150, 120), 5, fill="purple")
    yield "drawings/purple pentagon, transparent.png", picture
    picture = Image.new("L", (400, 400), 255)
    draw = ImageDraw.Draw(picture)
    for row in range(8):
        for column in range(row % 2, 8, 2):
            draw.rectangle((column * 50, row * 50, column * 50 + 49, row * 50 + 49), fill=0)
    yield "drawings/chessboard.png", picture
    yield (
        "drawings/rainbow.png",
        Image.merge(
            "HSV", (Image.linear_gradient("L"), Image.new("L", (256, 256), 255), Image.new("L", (256, 256), 255))
        ).convert("RGB"),
    )


Shot = tuple[Image.Image, float, tuple[float, float, float, float], tuple[float, float, float, float]]
"""A picture, seconds, and the boxes (parts of the picture) between which the camera moves."""


def _clips(photographs: dict[str, Image.Image]) -> dict[str, list[Shot]]:
    def pan(name: str, seconds: float) -> Shot:
        return photographs[name], seconds, (0.0, 0.0, 0.6, 0.6), (0.4, 0.4, 1.0, 1.0)

    def zoom(name: str, seconds: float) -> Shot:
        return photographs[name], seconds, (0.0, 0.0, 1.0, 1.0), (0.25, 0.2, 0.75, 0.7)

    return {
        "clips/from the cat to the coffee.mp4": [zoom("chelsea.png", 4), pan("coffee.png", 4)],
        "clips/space programme.mp4": [zoom("astronaut.png", 3), pan("rocket.jpg", 4), zoom("hubble_deep_field.jpg", 3)],
        "clips/walls and meadows.mkv": [pan("brick.png", 3), pan("grass.png", 3), pan("gravel.png", 3)],
        "clips/rocket.gif": [zoom("rocket.jpg", 2)],
    }


def _frames(shots: list[Shot], fps: int) -> Iterator[Image.Image]:
    for picture, seconds, begin, end in shots:
        picture = picture.convert("RGB")
        count = round(seconds * fps)
        for index in range(count):
            part = index / max(1, count - 1)
            left, top, right, bottom = (a + (b - a) * part for a, b in zip(begin, end, strict=True))
            width, height = picture.size
            box = (left * width, top * height, right * width, bottom * height)
            yield picture.resize(CLIP_SIZE, Image.Resampling.BILINEAR, box=box)


def _write_clip(path: Path, shots: list[Shot]) -> None:
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "24", "preset": "veryfast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = *CLIP_SIZE, "yuv420p"
        for picture in _frames(shots, FPS):
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))


def _write_gif(path: Path, shots: list[Shot]) -> None:
    pictures = [picture.resize((160, 120)).quantize(64) for picture in _frames(shots, 5)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=200, loop=0)


def _sources() -> str:
    lines = ["Where the pictures of this folder come from. All may be used and passed on freely.", ""]
    for name, (target, terms) in PHOTOGRAPHS.items():
        lines.append(f"{target}: {terms} (scikit-image, data/{name})")
    for target, (name, _) in CROPS.items():
        lines.append(f"{target}: cut from {PHOTOGRAPHS[name][0]}")
    lines += [
        "drawings/ (but the horse): drawn by data/make_sample.py, CC0",
        "other pictures and clips/: made of the above",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "sample")
