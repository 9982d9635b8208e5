"""Lines of a file of the user's, read one by one with a cap on the length of each."""

from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import DatasetError
from retrieval.messages import _, reason_of, retold


def bounded_lines(path: Path, most_bytes: int, what: str) -> Iterator[tuple[int, bytes]]:
    """Yield the number (from 1) and the bytes of each line that is not blank.

    ``what`` says what the file should be, as a message marked with ``N_``: "a file of captions". A line may have
    ``most_bytes``, its end included; one that is longer is never held whole.

    Raises:
        DatasetError: the file cannot be read, or a line is longer; the message names the line.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(most_bytes + 1):
                number += 1
                if len(raw) > most_bytes:
                    raise DatasetError(
                        _("{path}, line {number}: longer than {most_bytes:,} bytes; is this {what}?").format(
                            path=path, number=number, most_bytes=most_bytes, what=retold(what)
                        )
                    )
                if raw.strip():
                    yield number, raw
    except OSError as error:
        raise DatasetError(
            _("{path} cannot be read ({reason}); give {what}").format(
                path=path, reason=reason_of(error), what=retold(what)
            )
        ) from None
