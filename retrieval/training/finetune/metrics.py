"""``metrics.jsonl``: a line for each step and each measurement, kept in step with the checkpoint."""

import json
import os
from pathlib import Path
from typing import Any

from retrieval.store.durable import replace

NAME = "metrics.jsonl"


class Metrics:
    """Appends lines to the metrics of a run."""

    def __init__(self, run: Path, step: int) -> None:
        """Open the file; lines after ``step``, which a checkpoint knows nothing of, are taken off."""
        path = run / NAME
        kept = [line for line in read(run) if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        replace(path, lambda file: file.write(text.encode()))
        self._file = path.open("a", encoding="utf-8")

    def add(self, line: dict[str, Any]) -> None:
        """Append one line; it has a key ``step``."""
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Make what was added last; done before a checkpoint that counts on it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(run: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics; a last one that is cut off is left out."""
    found: list[dict[str, Any]] = []
    path = run / NAME
    if not path.is_file():
        return found
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
    return found
