"""Pictures of simple shapes, drawn without fonts: the same bytes on every machine."""

from PIL import Image, ImageDraw

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "yellow": (230, 210, 40)}
SHAPES = ("disc", "box", "stripes")


def drawing(colour: str, shape: str, side: int = 96, shift: int = 0) -> Image.Image:
    """A coloured shape on a grey ground: the same bytes on every machine."""
    picture = Image.new("RGB", (side, side), (120, 120, 120))
    pen = ImageDraw.Draw(picture)
    low, high = side // 5 + shift, 4 * side // 5 + shift
    if shape == "disc":
        pen.ellipse((low, low, high, high), fill=COLOURS[colour])
    elif shape == "box":
        pen.rectangle((low, low, high, high), fill=COLOURS[colour])
    else:
        for x in range(low, high, max(2, side // 8)):
            pen.rectangle((x, 0, x + side // 16, side), fill=COLOURS[colour])
    return picture
