"""How a video's track lies in the catalog, and how it is read back."""

import numpy as np

from retrieval.types import Track

SIGNATURE_BYTES = 96


def packed(track: Track) -> dict[str, bytes]:
    """Return the columns of a track."""
    return {
        "at_s": np.ascontiguousarray(track.at_s, "<f8").tobytes(),
        "signatures": np.ascontiguousarray(track.signatures, np.uint8).tobytes(),
        "cuts_s": np.ascontiguousarray(track.cuts_s, "<f8").tobytes(),
    }


def unpacked(at_s: bytes, signatures: bytes, cuts_s: bytes) -> Track:
    """Return the track of these columns.

    Raises:
        ValueError: they do not belong together.
    """
    times = np.frombuffer(at_s, "<f8").astype(np.float64)
    looks = np.frombuffer(signatures, np.uint8).reshape(len(times), SIGNATURE_BYTES)
    return Track(times, looks, np.frombuffer(cuts_s, "<f8").astype(np.float64))
