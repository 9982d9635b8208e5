import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.config import Preprocessing
from retrieval.embedding.preprocess import preprocess

SIDES = st.integers(1, 120)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def theirs(pixels: np.ndarray, how: Preprocessing, mode: str) -> np.ndarray:
    """What OpenCLIP gives to its image tower, turned back to bytes."""
    open_clip = pytest.importorskip("open_clip")
    size = how.height if how.height == how.width else (how.height, how.width)
    transform = open_clip.image_transform(
        size, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=mode, interpolation=how.interpolation
    )
    return np.rint(transform(Image.fromarray(pixels)).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize(("resize", "mode"), [("crop", "shortest"), ("pad", "longest"), ("squash", "squash")])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@settings(max_examples=25, deadline=None)
@given(height=SIDES, width=SIDES, size=st.sampled_from([16, 33, 64]))
def test_equals_openclip_byte_for_byte(resize, mode, interpolation, height, width, size):
    if max(height, width) > 7 * min(height, width):
        width = height
    pixels = noise(height, width, height * 1000 + width)
    how = Preprocessing(size, size, resize, interpolation)
    np.testing.assert_array_equal(preprocess(pixels, how), theirs(pixels, how, mode))


@pytest.mark.parametrize(("resize", "mode"), [("crop", "shortest"), ("pad", "longest"), ("squash", "squash")])
def test_equals_openclip_on_a_tower_that_is_not_square(resize, mode):
    pixels = noise(150, 201)
    how = Preprocessing(48, 64, resize)
    np.testing.assert_array_equal(preprocess(pixels, how), theirs(pixels, how, mode))


def test_equals_openclip_at_a_size_in_use():
    pixels = noise(375, 500)
    how = Preprocessing(224, 224, "crop")
    np.testing.assert_array_equal(preprocess(pixels, how), theirs(pixels, how, "shortest"))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    tower=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    resize=st.sampled_from(["squash", "crop", "pad"]),
)
def test_any_picture_becomes_the_size_of_the_tower(height, width, tower, resize):
    made = preprocess(noise(height, width), Preprocessing(*tower, resize))
    assert made.shape == (*tower, 3)
    assert made.dtype == np.uint8


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_a_plain_picture_stays_plain(resize):
    plain = np.full((70, 31, 3), (10, 200, 30), dtype=np.uint8)
    assert (preprocess(plain, Preprocessing(24, 24, resize)) == (10, 200, 30)).all()


def test_shrinking_does_not_alias():
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    made = preprocess(stripes, Preprocessing(32, 32, "squash")).astype(int)
    assert abs(made - 128).max() <= 6


def test_crop_takes_the_middle_and_pad_fills_with_black():
    picture = np.zeros((40, 80, 3), dtype=np.uint8)
    picture[:, 20:60] = 255
    assert preprocess(picture, Preprocessing(20, 20, "crop", "nearest")).min() == 255
    padded = preprocess(np.full((40, 80, 3), 255, dtype=np.uint8), Preprocessing(20, 20, "pad"))
    assert padded[:5].max() == 0
    assert padded[5:15].min() == 255


def test_a_panorama_is_cut_to_the_same_picture():
    """Beyond a limit the cut comes before the scaling; both ways see the same middle."""
    panorama = noise(30, 900)
    how = Preprocessing(32, 32, "crop")
    difference = preprocess(panorama, how).astype(int) - theirs(panorama, how, "shortest").astype(int)
    assert abs(difference).max() <= 1


def test_a_hair_thin_strip_needs_no_memory():
    strip = np.zeros((1, 60_000, 3), dtype=np.uint8)
    assert preprocess(strip, Preprocessing(224, 224, "crop")).shape == (224, 224, 3)
