"""What counts as the same picture: copies in other forms do, other pictures of the same do not."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from retrieval.media.frames import compact, signature
from retrieval.ranking.near import OUTLINE_ALIKE, OUTLINE_WIDTH, Looks, looks, outlines, unlikeness
from tests.media_makers import draw_picture

SIZE = (640, 480)


def photo(seed: int) -> Image.Image:
    """Soft shapes with some grain, as photographs have them."""
    drawn = draw_picture(seed, SIZE).filter(ImageFilter.GaussianBlur(6))
    grain = np.random.default_rng(seed).normal(0, 4, (*SIZE[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(drawn) + grain, 0, 255).astype(np.uint8))


def seen(*pictures: Image.Image) -> Looks:
    rows = [np.frombuffer(compact(signature(np.asarray(one.convert("RGB")))), np.uint8) for one in pictures]
    return looks(np.stack(rows), np.array([one.size for one in pictures]))


def saved(picture: Image.Image, form: str, **save: object) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, form, **save)
    return Image.open(stream).convert("RGB")


def unlike(one: Image.Image, other: Image.Image) -> float:
    return float(unlikeness(seen(one), seen(other))[0])


def cropped(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    return picture.crop(
        (round(left * width), round(top * height), width - round(right * width), height - round(bottom * height))
    )


def gamma(picture: Image.Image, power: float) -> Image.Image:
    return picture.point([round(255 * (level / 255) ** power) for level in range(256)] * 3)


def warmer(picture: Image.Image, by: float) -> Image.Image:
    red, green, blue = picture.split()
    return Image.merge("RGB", (red.point(lambda v: v * (1 + by)), green, blue.point(lambda v: v * (1 - by))))


COPIES = {
    "half": lambda one: one.resize((320, 240), Image.Resampling.LANCZOS),
    "thumbnail": lambda one: one.resize((128, 96), Image.Resampling.BILINEAR),
    "coarse jpeg": lambda one: saved(one, "JPEG", quality=40),
    "webp": lambda one: saved(one, "WEBP", quality=70),
    "darker": lambda one: saved(ImageEnhance.Brightness(one).enhance(0.85), "JPEG", quality=85),
    "brighter": lambda one: saved(ImageEnhance.Brightness(one).enhance(1.15), "JPEG", quality=85),
    "gamma up": lambda one: gamma(one, 0.85),
    "gamma down": lambda one: gamma(one, 1.15),
    "contrast": lambda one: ImageEnhance.Contrast(one).enhance(0.9),
    "warmer": lambda one: warmer(one, 0.06),
    "pale": lambda one: ImageEnhance.Color(one).enhance(0.85),
    "to a width that cells do not share": lambda one: saved(one.resize((185, 139)), "WEBP", quality=75),
    "crop": lambda one: saved(cropped(one, 0.015, 0.015, 0.015, 0.015), "JPEG", quality=85),
    "crop of one side": lambda one: cropped(one, 0.03, 0.0, 0.0, 0.03),
    "crop and half": lambda one: cropped(one, 0.02, 0.02, 0.02, 0.02).resize((307, 230), Image.Resampling.LANCZOS),
    "border": lambda one: ImageOps.expand(one, 8, "white"),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", COPIES)
def test_copies_look_identical(form, seed):
    picture = photo(seed)
    copy = COPIES[form](picture)
    assert unlike(picture, copy) <= 1
    assert unlike(copy, picture) <= 1


def with_text(picture: Image.Image, text: str) -> Image.Image:
    marked = picture.copy()
    ImageDraw.Draw(marked).text((120, 200), text, fill="white", font_size=60, stroke_width=2, stroke_fill="black")
    return marked


def with_thing(picture: Image.Image, at: tuple[int, int]) -> Image.Image:
    marked = picture.copy()
    ImageDraw.Draw(marked).ellipse((at[0], at[1], at[0] + 50, at[1] + 50), fill="yellow", outline="black", width=4)
    return marked


OTHERS = {
    "another picture": lambda one: photo(77),
    "mirrored": ImageOps.mirror,
    "upside down": lambda one: one.rotate(180),
    "words on it": lambda one: with_text(one, "FOR SALE"),
    "a thing on it": lambda one: with_thing(one, (430, 300)),
    "a mark in the corner": lambda one: with_thing(one, (575, 420)),
    "grey": lambda one: ImageEnhance.Color(one).enhance(0.0),
    "far warmer": lambda one: warmer(one, 0.3),
    "squashed": lambda one: one.resize((480, 480)),
    "a tenth cut off": lambda one: cropped(one, 0.1, 0.1, 0.1, 0.1),
    "moved, as in a burst": lambda one: one.transform(SIZE, Image.Transform.AFFINE, (1, 0, 14, 0, 1, 9)),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", OTHERS)
def test_other_pictures_do_not(form, seed):
    picture = photo(seed)
    assert unlike(picture, OTHERS[form](picture)) > 1


def test_the_same_scene_with_other_words_or_a_moved_thing_is_another_picture():
    picture = photo(3)
    assert unlike(with_text(picture, "MONDAY"), with_text(picture, "SUNDAY NIGHT")) > 1
    assert unlike(with_thing(picture, (200, 200)), with_thing(picture, (260, 200))) > 1


@pytest.mark.parametrize(
    ("one", "other", "same"), [(200, 200, True), (200, 202, True), (200, 230, False), (0, 255, False)]
)
def test_plain_pictures_are_told_by_their_tone(one, other, same):
    plain = [Image.new("RGB", SIZE, (level,) * 3) for level in (one, other)]
    assert (unlike(*plain) <= 1) is same


def test_plain_pictures_of_other_colours_are_other_pictures():
    colours = [Image.new("RGB", SIZE, colour) for colour in ("#3060c0", "#c06030")]
    assert unlike(*colours) > 1
    near = outlines(seen(*colours, Image.new("RGB", SIZE, "#3161c0")))
    assert near[0] @ near[2] > near[0] @ near[1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 30), quality=st.integers(40, 95), scale=st.floats(0.3, 1.0), tone=st.floats(0.87, 1.12))
def test_copies_of_any_size_quality_and_tone_are_identical_and_their_outlines_near(seed, quality, scale, tone):
    picture = photo(seed)
    small = picture.resize((round(SIZE[0] * scale), round(SIZE[1] * scale)), Image.Resampling.LANCZOS)
    copy = saved(ImageEnhance.Brightness(small).enhance(tone), "JPEG", quality=quality)
    both = seen(picture, copy)
    assert unlikeness(both.at(np.array([0])), both.at(np.array([1])))[0] <= 1
    near = outlines(both)
    assert float(near[0] @ near[1]) >= OUTLINE_ALIKE


def random_looks(seed: int, count: int) -> Looks:
    rng = np.random.default_rng(seed)
    return looks(rng.integers(0, 256, (count, 384), dtype=np.uint8), rng.integers(1, 4000, (count, 2)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
def test_pairs_do_not_depend_on_their_neighbours_nor_on_which_comes_first(seed, count):
    one, other = random_looks(seed, count), random_looks(seed + 1, count)
    mixed = one.luma * 0.98 + other.luma * 0.02
    other = Looks(mixed.astype(np.float32), one.chroma, one.sizes)
    together = unlikeness(one, other)
    alone = [unlikeness(one.at(np.array([place])), other.at(np.array([place])))[0] for place in range(count)]
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3)
    assert ((unlikeness(other, one) <= 1) == (together <= 1)).all()
    assert (unlikeness(one, one) <= 0.01).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 40))
def test_outlines_are_of_length_one(seed, count):
    found = outlines(random_looks(seed, count))
    assert found.shape == (count, OUTLINE_WIDTH)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_no_pairs():
    nothing = random_looks(0, 0)
    assert unlikeness(nothing, nothing).shape == (0,)
