"""New rows that wait to be written together: one statement for hundreds of files takes a fraction of one for each."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from retrieval.store import schema
from retrieval.store.schema import files, items, keywords, tracks

MOST_FILES = 256
"""So many new files wait at most; their vectors are in memory until then."""

# A row names those that stand before it here.
_ORDER: tuple[tuple[str, sa.Executable], ...] = (
    ("files", sa.insert(files)),
    ("items", sa.insert(items)),
    ("keywords", sa.insert(keywords)),
    ("tracks", sa.insert(tracks)),
    ("words", schema.INSERT_WORDS),
)


class Waiting:
    """Rows of new files, by table, in the order in which they came."""

    def __init__(self, connection: Connection) -> None:
        """Write to a connection; the numbers of new files follow those there are."""
        self._connection = connection
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name, _insert in _ORDER}
        self._paths: set[bytes] = set()
        self._next_file = 0

    def __contains__(self, path: bytes) -> bool:
        """Say whether a file of this path waits."""
        return path in self._paths

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        return len(self._paths) >= MOST_FILES

    def add_file(self, values: dict[str, Any]) -> int:
        """Take a new file's columns (each time the same ones); return its number."""
        if not self._paths:
            self._next_file = 1 + (self._connection.execute(schema.LAST_FILE).scalar() or 0)
        number = self._next_file
        self._next_file += 1
        self._paths.add(values["path"])
        self._rows["files"].append({"id": number, **values})
        return number

    def add(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Take rows that belong to files which wait; nothing may be written between a file and its rows."""
        self._rows[table].extend(rows)

    def write(self) -> None:
        """Write all that waits."""
        if not self._paths:
            return
        self._paths.clear()
        for name, insert in _ORDER:
            rows, self._rows[name] = self._rows[name], []
            if rows:
                self._connection.execute(insert, rows)
