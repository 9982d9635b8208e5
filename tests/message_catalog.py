"""Brings the catalogs of messages up to date: ``python -m tests.message_catalog``.

Collects the messages of the sources (``_``, ``N_``, ``ngettext``), the help of all commands and options, and the few
that are in files of data, merges them into each ``retrieval/locale/LANGUAGE/LC_MESSAGES/sightseek.po``, and compiles it
to the ``.mo`` beside it; then it writes the pages of help (see ``tests.help_pages``). New messages come with an empty
translation, to be filled in by hand; those that nothing uses any more are dropped. Says what is still to be translated.
"""

import inspect
import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer.main
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from retrieval.cli import app
from retrieval.config import DEFAULT_MODEL
from retrieval.embedding import model_folder
from retrieval.embedding.folder import read_model_folder
from retrieval.embedding.languages import languages
from retrieval.messages import DOMAIN, FOLDER
from retrieval.spoken import LANGUAGES
from tests import help_pages

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("retrieval", "indexer")
KEYWORDS: dict[str, Any] = {"_": None, "N_": None, "ngettext": (1, 2)}
TRANSLATED = LANGUAGES[1:]
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
_UNSTABLE = tuple(
    f'"{name}:'
    for name in (
        "Project-Id-Version",
        "Report-Msgid-Bugs-To",
        "POT-Creation-Date",
        "PO-Revision-Date",
        "Last-Translator",
        "Language-Team",
        "Generated-By",
    )
)


def po_file(language: str) -> Path:
    """Return the catalog that people write."""
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def written_in_sources() -> Iterator[tuple[str | tuple[str, ...], str, list[str]]]:
    """Yield each message of the sources with the file it is in and the comments for translators before it."""
    for package in PACKAGES:
        found = extract_from_dir(
            REPOSITORY / package, method_map=[("**.py", "python")], keywords=KEYWORDS, comment_tags=("Translators:",)
        )
        for name, _line, message, comments, _context in found:
            yield message, f"{package}/{name}", comments


def written_in_commands() -> Iterator[str]:
    """Yield the help of the commands and options, as the command line holds it."""
    commands: list[Any] = [typer.main.get_command(app)]
    while commands:
        command = commands.pop(0)
        texts = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
        yield from (inspect.cleandoc(text) for text in texts if text)
        commands += getattr(command, "commands", {}).values()


def written_in_data() -> Iterator[tuple[str, str]]:
    """Yield what is said from files of data, with the file: names of languages, and what the built-in model says."""
    for language in languages().values():
        yield language.name, "retrieval/embedding/languages.tsv"
    folder = model_folder(DEFAULT_MODEL)
    assert folder is not None
    model = read_model_folder(folder)
    yield from ((text, "retrieval/models/starter/model.json") for text in (model.description, model.knows))


def template() -> Catalog:
    """Return a catalog of all messages, without translations."""
    made = Catalog(fuzzy=False)
    for message, name, comments in written_in_sources():
        made.add(message, locations=[(name, 1)], auto_comments=comments)
    for text, name in (*((text, "retrieval/cli") for text in written_in_commands()), *written_in_data()):
        if text not in made:
            made.add(text, locations=[(name, 1)])
    return made


def updated(language: str) -> Catalog:
    """Return a language's catalog with the messages that there are now, and the translations that it has of them.

    In the midst of a merge that left a conflict in the catalog, it has the translations of both sides.
    """
    text = po_file(language).read_bytes()
    sides = [_stage(language, number) for number in (2, 3)] if b"\n<<<<<<< " in text else [text]
    catalog, *others = (read_po(io.BytesIO(side), locale=language, domain=DOMAIN) for side in sides)
    for message in (message for other in others for message in other if message.id):
        ours = catalog.get(message.id)
        if ours is None or not translations(ours):
            catalog[message.id] = message
    catalog.update(template(), no_fuzzy_matching=True, update_header_comment=False)
    catalog.obsolete.clear()
    return catalog


def _stage(language: str, number: int) -> bytes:
    """Return one side of a conflict, as git keeps it."""
    name = po_file(language).relative_to(REPOSITORY).as_posix()
    return subprocess.run(["git", "show", f":{number}:{name}"], cwd=REPOSITORY, check=True, capture_output=True).stdout


def as_po(catalog: Catalog) -> bytes:
    """Return the file that people write; without line numbers and dates, so that it changes only with its messages."""
    stream = io.BytesIO()
    write_po(stream, catalog, width=0, sort_by_file=True, include_lineno=False)
    lines = stream.getvalue().decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_UNSTABLE)).encode()


def as_mo(catalog: Catalog) -> bytes:
    """Return the file that gettext reads; without the time at which it is made."""
    stream = io.BytesIO()
    catalog.creation_date = _UNDATED
    write_mo(stream, catalog)
    return stream.getvalue()


def translations(message: Message) -> list[str]:
    """Return the translations of a message, one for each plural form; none when one of them is missing."""
    found = list(message.string) if isinstance(message.string, tuple | list) else [message.string or ""]
    return found if all(found) else []


def main() -> None:
    """Update all catalogs, and the pages of help that follow from them."""
    for language in TRANSLATED:
        catalog = updated(language)
        path = po_file(language)
        path.write_bytes(as_po(catalog))
        path.with_suffix(".mo").write_bytes(as_mo(catalog))
        missing = [message.id for message in catalog if message.id and not translations(message)]
        said = [f"{path.relative_to(REPOSITORY)}: {len(catalog)} messages, {len(missing)} to be translated"]
        sys.stdout.write("\n".join([*said, *(f"  {text!r}" for text in missing)]) + "\n")
    help_pages.main()


if __name__ == "__main__":
    main()
