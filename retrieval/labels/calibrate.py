"""Fit a calibration of labels: `python -m retrieval.labels.calibrate --data FOLDER [--split dev] [--out FILE]`.

FOLDER holds images/ and captions.tsv (image TAB split TAB caption). The calibration is fitted on every other picture of
the split and measured on the rest.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.config import DEFAULT_MODEL, ModelSpec
from retrieval.embedding import Embedder, open_embedder
from retrieval.embedding.kept import label_cache
from retrieval.embedding.stream import Embedded, Job, embed_stream
from retrieval.errors import DatasetError, OptionError, RetrievalError
from retrieval.labels.calibration import (
    Calibration,
    Quality,
    centred,
    fit_platt,
)
from retrieval.labels.inflection import Vocabulary
from retrieval.labels.lines import read_lines
from retrieval.labels.text_vectors import prompts_digest, word_vectors
from retrieval.labels.words import builtin_words
from retrieval.ranking import expected_calibration_error, logistic
from retrieval.types import FloatMatrix

_MOST_BYTES = 256 * 2**20
_FIRST = 5
_FEWEST = 10
_LINE_EVERY_S = 10.0
_SHIPPED = Path(__file__).with_name("starter.json")


class Captioned(NamedTuple):
    """A picture and what people wrote of it."""

    path: Path
    captions: tuple[str, ...]


def read_captioned(data: Path, split: str) -> list[Captioned]:
    """Read the pictures of one split of FOLDER with their captions, in the order of the file.

    Raises:
        DatasetError: the captions cannot be read or the split has too few pictures; the message names the line.
    """
    path = data / "captions.tsv"
    captions: dict[str, list[str]] = {}
    try:
        for number, text in read_lines(path, _MOST_BYTES, "--data"):
            fields = [field.strip() for field in text.split("\t")]
            if len(fields) != 3:
                raise DatasetError(f"{path}, line {number}: expected image, split and caption with tabs between")
            if fields[1] == split:
                captions.setdefault(fields[0], []).append(fields[2])
    except OptionError as error:
        raise DatasetError(str(error).removeprefix("--data ")) from None
    if len(captions) < _FEWEST:
        raise DatasetError(f"{path} has {len(captions)} pictures of split {split!r}; at least {_FEWEST} are needed")
    return [Captioned(data / "images" / name, tuple(texts)) for name, texts in captions.items()]


def calibrate(
    pictures: Sequence[Captioned],
    embedder: Embedder,
    *,
    words: Sequence[str] = (),
    cache: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """Fit slope and bias on the pictures at even places and measure them on the others.

    ``words`` are those that are looked for in pictures and captions; none means the built-in list. Pictures that
    cannot be read are left out, with a note.

    Raises:
        DatasetError: too few pictures can be read, or scores do not tell true words from others.
        ModelError: the model cannot be run.
    """
    words = words or builtin_words().words
    note(f"embedding {len(words)} words")
    word_rows = word_vectors(words, embedder, cache=cache, progress=_counting(note, "texts"))
    note(f"embedding {len(pictures):,} pictures")
    rows, read = _embedded(pictures, embedder, note)
    if len(read) < _FEWEST:
        raise DatasetError(f"only {len(read)} pictures can be read; at least {_FEWEST} are needed")
    vocabulary = Vocabulary(words)
    true = np.stack([vocabulary.found_in(picture.captions) for picture in read])
    return fitted(embedder.spec, rows, word_rows, true)


def fitted(spec: ModelSpec, pictures: FloatMatrix, words: FloatMatrix, true: NDArray[np.bool_]) -> Calibration:
    """Fit on the pictures at even places, measure on the others; pure.

    ``pictures`` ``(n, dim)`` and ``words`` ``(w, dim)`` are rows of length 1, ``true`` ``(n, w)`` says which word
    applies to which picture.

    Raises:
        DatasetError: scores do not tell true words from others.
    """
    centre: NDArray[np.float32] = np.round(words.mean(axis=0), 6).astype(np.float32)
    cosines = pictures @ words.T
    scores = centred(pictures, cosines, centre)
    even = np.arange(len(pictures)) % 2 == 0
    try:
        slope, bias = fit_platt(scores[even].ravel(), true[even].ravel())
    except ValueError as error:
        raise DatasetError(f"the captions cannot be used to calibrate: {error}") from None
    if slope <= 0:
        raise DatasetError("the model's scores do not rise with what the captions say; use another model or other data")
    return Calibration(
        Path(spec.name).name if Path(spec.name).is_absolute() else spec.name,
        spec.digest,
        prompts_digest(),
        slope,
        bias,
        centre,
        int(even.sum()),
        _quality(cosines[~even], logistic(slope * scores[~even] + bias), true[~even]),
    )


def _quality(cosines: FloatMatrix, chances: NDArray[np.float64], true: NDArray[np.bool_]) -> Quality:
    raw = np.clip(cosines, 0.0, 1.0).astype(np.float64)
    first = np.argsort(-cosines, axis=1, kind="stable")[:, :_FIRST]
    true_first = np.take_along_axis(true, first, 1)
    return Quality(
        pictures=len(true),
        words=true.shape[1],
        ece_before=expected_calibration_error(raw, true),
        ece_after=expected_calibration_error(chances, true),
        ece_of_first_before=expected_calibration_error(np.take_along_axis(raw, first, 1), true_first),
        ece_of_first_after=expected_calibration_error(np.take_along_axis(chances, first, 1), true_first),
        precision_at_5=float(true_first.mean()),
    )


def _embedded(
    pictures: Sequence[Captioned], embedder: Embedder, note: Callable[[str], None]
) -> tuple[FloatMatrix, list[Captioned]]:
    rows: dict[int, FloatMatrix] = {}
    jobs = (Job(picture.path, place) for place, picture in enumerate(pictures))
    count = _counting(note, "pictures")
    for done, result in enumerate(embed_stream(jobs, embedder, digest=False), 1):
        count(done, len(pictures))
        place = result.job.tag
        assert isinstance(place, int)
        if isinstance(result, Embedded):
            rows[place] = result.vectors[:1]
        else:
            note(f"left out {result.job.path}: {result.reason}")
    read = sorted(rows)
    vectors = np.concatenate([rows[place] for place in read]) if read else np.empty((0, embedder.dim), np.float32)
    return vectors, [pictures[place] for place in read]


def _counting(note: Callable[[str], None], noun: str) -> Callable[[int, int], None]:
    """Return what turns counts into a line now and then, with the rate and the time left."""
    began_s = last_s = time.monotonic()

    def count(done: int, total: int) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _LINE_EVERY_S:
            last_s = now_s
            rate = done / (now_s - began_s)
            note(f"{done:,} of {total:,} {noun}, {rate:.1f} {noun}/s, {(total - done) / rate:.0f} s left")

    return count


def report(made: Calibration) -> list[str]:
    """Return what was found, a line each."""
    found = made.quality
    return [
        f"model {made.model}: slope {made.slope:.3f}, bias {made.bias:.3f}, fitted on {made.fitted:,} pictures",
        f"measured on {found.pictures:,} other pictures and {found.words:,} words (ECE, 15 bins):",
        f"  all words            before {found.ece_before:.4f}  after {found.ece_after:.4f}",
        f"  the five best words  before {found.ece_of_first_before:.4f}  after {found.ece_of_first_after:.4f}",
        f"  precision@5 of words against captions {found.precision_at_5:.3f}",
    ]


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, fit, write, report; returned is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.labels.calibrate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and captions.tsv")
    parser.add_argument("--split", default="dev", help="the split to use (default: dev)")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a model's name or folder (default: the built-in one)")
    parser.add_argument("--out", type=Path, help="the file to write (default for the built-in model: its own)")
    options = parser.parse_args(arguments)
    if options.out is None and options.model != DEFAULT_MODEL:
        parser.error("--out is needed with --model")
    try:
        embedder = open_embedder(options.model)
        made = calibrate(read_captioned(options.data, options.split), embedder, cache=label_cache(), note=_say)
        out = options.out or _SHIPPED
        try:
            out.write_text(json.dumps(made.to_json()) + "\n", encoding="utf-8")
        except OSError as error:
            raise OptionError(f"{out} cannot be written ({error.strerror}); name another file with --out") from None
    except RetrievalError as error:
        _say(str(error))
        return error.exit_code
    for line in report(made):
        _say(line)
    _say(f"written to {out}")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
