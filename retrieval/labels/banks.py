"""Banks of sentences that descriptions are chosen from: the built-in one, or a file of the user's."""

from pathlib import Path
from typing import NamedTuple

from retrieval.errors import OptionError
from retrieval.labels.lines import read_lines
from retrieval.messages import _

_BUILTIN = Path(__file__).with_name("sentences.txt")
_MOST_BYTES = 64 * 2**20
_MOST_SENTENCES = 200_000
_LONGEST = 2_000
_FIELDS = 3


class Bank(NamedTuple):
    """Different sentences in the order of their file."""

    sentences: tuple[str, ...]


def builtin_sentences() -> Bank:
    """Return the sentences that come with sightseek: some hundred everyday scenes, in English."""
    return read_bank(_BUILTIN)


def read_bank(path: Path) -> Bank:
    """Read a sentence a line (UTF-8), or captions: ``image TAB split TAB caption`` or ``image TAB caption``.

    Lines that begin with ``#`` are comments. Equal sentences are one.

    Raises:
        OptionError: the file cannot be read, is larger than 64 MB or 200,000 sentences, a line is longer than 2,000
            characters or of another form, or there is no sentence in it.
    """
    found: dict[str, None] = {}
    for number, text in read_lines(path, _MOST_BYTES, "--bank"):
        if text.startswith("#"):
            continue
        fields = text.split("\t")
        if len(fields) > _FIELDS or len(text) > _LONGEST:
            raise OptionError(
                _(
                    "--bank {path}, line {number}: neither a sentence nor image, split and caption with "
                    "tabs between; give a sentence of at most {most:,} characters a line"
                ).format(path=path, number=number, most=_LONGEST)
            )
        found[fields[-1].strip()] = None
    if not found:
        raise OptionError(_("--bank {path} holds no sentence; give a sentence a line").format(path=path))
    if len(found) > _MOST_SENTENCES:
        raise OptionError(
            _("--bank {path} holds more than {most:,} sentences; give fewer").format(path=path, most=_MOST_SENTENCES)
        )
    return Bank(tuple(found))
