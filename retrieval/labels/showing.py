"""Pure presentation: labelled pictures and moments to JSON lines and to the cells of a table."""

import json
from typing import Any

from retrieval.labels.labelling import Labelled, Sentence, Tag
from retrieval.present import timestamp, visible


def tags_json(found: Labelled[Tag]) -> str:
    """Return one JSON object in plain ASCII: ``path kind start_s end_s at_s item tags``, seconds null for a picture.

    Each of ``tags`` is ``{"word", "score", "probability", "cosine"}``, best first; ``score`` is the probability, or the
    cosine where the probability is null.
    """
    tags = [
        {
            "word": tag.word,
            "score": round(tag.score, 6),
            "probability": None if tag.probability is None else round(tag.probability, 6),
            "cosine": round(tag.cosine, 6),
        }
        for tag in found.labels
    ]
    return json.dumps({**_place(found), "tags": tags}, ensure_ascii=True, allow_nan=False)


def sentences_json(found: Labelled[Sentence]) -> str:
    """Return one JSON object as ``tags_json`` does, with ``sentences``: each ``{"text", "score"}``, best first."""
    sentences = [{"text": one.text, "score": round(one.score, 6)} for one in found.labels]
    return json.dumps({**_place(found), "sentences": sentences}, ensure_ascii=True, allow_nan=False)


def tags_row(found: Labelled[Tag]) -> tuple[str, str, str]:
    """Return the cells of one picture or moment: file, moment (empty for a picture), ``dog 0.93, snow 0.71``."""
    cell = ", ".join(f"{visible(tag.word)} {tag.score:.2f}" for tag in found.labels)
    return visible(found.path), _moment(found), cell


def sentences_rows(found: Labelled[Sentence]) -> list[tuple[str, str, str, str]]:
    """Return the cells of one picture or moment, a row a sentence: file, moment, score, sentence."""
    return [(visible(found.path), _moment(found), f"{one.score:.3f}", visible(one.text)) for one in found.labels]


def _moment(found: Labelled[Tag] | Labelled[Sentence]) -> str:
    if found.start_s is None or found.end_s is None:
        return ""
    return f"{timestamp(found.start_s)}-{timestamp(found.end_s)}"


def _place(found: Labelled[Tag] | Labelled[Sentence]) -> dict[str, Any]:
    times = {"start_s": found.start_s, "end_s": found.end_s, "at_s": found.at_s}
    return {
        "path": found.path,
        "kind": found.kind,
        **{name: None if value is None else round(value, 3) for name, value in times.items()},
        "item": found.item,
    }
