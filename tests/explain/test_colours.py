"""The colour map: even steps, rising lightness."""

import numpy as np

from retrieval.explain.colours import colour_table, coloured


def oklab(rgb: np.ndarray) -> np.ndarray:
    """sRGB bytes to Oklab, written from the definition of the space (the way there, not the way back)."""
    values = rgb / 255.0
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    lms = (
        linear
        @ np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        ).T
    )
    return (
        np.cbrt(lms)
        @ np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        ).T
    )


def test_steps_look_equally_long():
    lab = oklab(colour_table().astype(float))
    # Bytes are coarse, so steps of eight are compared.
    steps = np.linalg.norm(np.diff(lab[::8], axis=0), axis=1)
    assert steps.min() > 0.8 * steps.mean()
    assert steps.max() < 1.2 * steps.mean()


def test_lightness_rises_throughout():
    light = oklab(colour_table().astype(float))[:, 0]
    assert (np.diff(light[::4]) > 0).all()
    assert light[-1] - light[0] > 0.6


def test_values_out_of_range_and_no_numbers_have_a_colour():
    found = coloured(np.array([[-1.0, 0.0], [2.0, np.nan]], dtype=np.float32))
    assert found.shape == (2, 2, 3)
    assert (found[0, 0] == found[0, 1]).all()
    assert (found[1, 1] == found[0, 0]).all()
    assert (found[1, 0] == colour_table()[-1]).all()
