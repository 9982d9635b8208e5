"""Text files of the user's, read line by line with a cap on their size."""

from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import OptionError
from retrieval.messages import _, reason_of


def read_lines(path: Path, most_bytes: int, option: str) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and text of each line that is not blank, without white space at its ends.

    ``option`` is the one that names the file, for messages.

    Raises:
        OptionError: the file cannot be read, is larger than ``most_bytes``, or is not UTF-8; the message names the
            line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise OptionError(
            _("{option} {path} cannot be read ({reason}); give a text file").format(
                option=option, path=path, reason=reason_of(error)
            )
        ) from None
    if len(content) > most_bytes:
        raise OptionError(
            _("{option} {path} is larger than {size} MB; give a shorter file").format(
                option=option, path=path, size=most_bytes // 2**20
            )
        )
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            text = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise OptionError(
                _("{option} {path}, line {number}: not UTF-8; save the file as UTF-8").format(
                    option=option, path=path, number=number
                )
            ) from None
        if "\0" in text:
            raise OptionError(
                _("{option} {path}, line {number}: not text; give a text file").format(
                    option=option, path=path, number=number
                )
            )
        if text:
            yield number, text
