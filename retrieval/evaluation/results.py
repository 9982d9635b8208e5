"""What came of single queries: the record that reports, dumps and comparisons are made from."""

from typing import Literal, NamedTuple

SHOWN = 10
"""So many found rows are kept of each query."""

AskedDirection = Literal["text_to_image", "image_to_text", "library"]


class Asked(NamedTuple):
    """One query and what came of it.

    ``query`` is the words, or the path of the picture when ``is_picture``. ``relevant`` names the right rows: paths
    (``text_to_image``), captions (``image_to_text``), paths or ``path#t=a-b`` with seconds (``library``). ``found`` is
    the first ten rows, best first, each with its score. ``rank`` is that of the best right row, from 1, ties against
    the model; one more than the gallery holds when it is never found.
    """

    direction: AskedDirection
    query: str
    is_picture: bool
    relevant: tuple[str, ...]
    found: tuple[tuple[str, float], ...]
    rank: int
