"""Reads back what the encoders for terminals write, as the terminals' documents say: what was drawn must come out."""

import base64
import io
import re

import numpy as np
from PIL import Image


def decode_kitty(text: str) -> tuple[np.ndarray, dict[str, str]]:
    """Return the RGBA pixels and the keys of the first chunk of one picture in kitty's protocol."""
    chunks = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in chunks) == text
    keys = [dict(pair.split("=") for pair in one.split(",")) for one, _ in chunks]
    assert all(len(data) <= 4096 for _, data in chunks)
    assert all(len(data) % 4 == 0 for _, data in chunks)
    assert [one["m"] for one in keys] == ["1"] * (len(keys) - 1) + ["0"]
    assert all(set(one) == {"m"} for one in keys[1:])
    data = base64.b64decode("".join(data for _, data in chunks))
    return _png(data), keys[0]


def decode_iterm(text: str) -> tuple[np.ndarray, dict[str, str]]:
    """Return the RGBA pixels and the arguments of one inline image of iTerm2."""
    found = re.fullmatch(r"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x07", text)
    assert found
    keys = dict(pair.split("=") for pair in found[1].split(";"))
    data = base64.b64decode(found[2])
    assert int(keys["size"]) == len(data)
    return _png(data), keys


def decode_sixel(text: str) -> np.ndarray:
    """Return the RGBA pixels of a Sixel picture; a pixel that no colour was put on stays transparent."""
    found = re.fullmatch(r'\x1bP(\d+);(\d+);(\d+)q"1;1;(\d+);(\d+)(.*)\x1b\\', text, re.DOTALL)
    assert found
    assert found[2] == "1"  # pixels that are not drawn keep what is behind
    width, height = int(found[4]), int(found[5])
    pixels = np.zeros((height + 5, width, 4), np.uint8)
    palette: dict[int, tuple[int, ...]] = {}
    x = y = 0
    colour = -1
    for define, select, run, letter, move in re.findall(
        r"#(\d+;2;\d+;\d+;\d+)|#(\d+)|(?:!(\d+))?([?-~])|([$-])", found[6]
    ):
        if define:
            number, _, *percent = map(int, define.split(";"))
            assert max(percent) <= 100
            palette[number] = tuple(round(one * 255 / 100) for one in percent)
        elif select:
            colour = int(select)
            assert colour in palette
        elif move:
            x, y = 0, y + (6 if move == "-" else 0)
        else:
            bits, count = ord(letter) - 63, int(run or 1)
            for row in range(6):
                if bits >> row & 1:
                    pixels[y + row, x : x + count] = (*palette[colour], 255)
            x += count
            assert x <= width
    assert not pixels[height:].any()
    return pixels[:height]


_LEVELS = (0, 95, 135, 175, 215, 255)


def decode_blocks(text: str) -> np.ndarray:
    """Return the RGBA pixels of lines of half blocks."""
    rows = []
    for line in text.split("\n"):
        upper, lower = [], []
        fore = ground = (0, 0, 0, 0)
        for style, letter in re.findall(r"\x1b\[([0-9;]*)m|(.)", line):
            if style:
                fore, ground = _styled([int(one) for one in style.split(";")], fore, ground)
                continue
            assert letter in " ▀▄"
            upper.append(fore if letter == "▀" else ground)
            lower.append(fore if letter == "▄" else ground)
        assert (fore, ground) == ((0, 0, 0, 0), (0, 0, 0, 0))  # nothing is left on for what follows
        rows += [upper, lower]
    return np.array(rows, np.uint8)


def _styled(codes, fore, ground):
    while codes:
        code = codes.pop(0)
        if code == 0:
            fore = ground = (0, 0, 0, 0)
        elif code == 49:
            ground = (0, 0, 0, 0)
        else:
            assert code in (38, 48)
            colour = _colour(codes)
            fore, ground = (colour, ground) if code == 38 else (fore, colour)
    return fore, ground


def _colour(codes):
    if codes.pop(0) == 2:
        return (codes.pop(0), codes.pop(0), codes.pop(0), 255)
    number = codes.pop(0)
    if number >= 232:
        return (8 + 10 * (number - 232),) * 3 + (255,)
    number -= 16
    return (_LEVELS[number // 36], _LEVELS[number // 6 % 6], _LEVELS[number % 6], 255)


def _png(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
