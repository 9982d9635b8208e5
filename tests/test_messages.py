"""Messages in other languages: which one is chosen, the catalogs, and how texts of the library are recognised."""

import ast
import gettext
import re
import string
import symtable
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from retrieval import messages
from retrieval.messages import DOMAIN, FOLDER, N_, _, current, ngettext, retold, use
from retrieval.spoken import LANGUAGES, language_of
from tests.message_catalog import (
    PACKAGES,
    REPOSITORY,
    TRANSLATED,
    as_po,
    po_file,
    template,
    translations,
    updated,
)

# What stands in these fields is Chinese, or begins with a mark.
_CHINESE_FIELDS = {
    "noun",
    "language",
    "kind",
    "protocol",
    "folds",
    "filtered",
    "left",
    "more",
    "what",
    "make",
    "wanted",
}
_TYPED = re.compile(r"`[^`]+`|(?<![\w-])--[a-z][a-z-]*|\$?SIGHTSEEK_[A-Z]+|\bsightseek(?: [a-z]+)?")


@pytest.fixture(params=TRANSLATED)
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    """A language, in use while the test runs."""
    use(request.param)
    yield request.param
    use("en")


@pytest.fixture(scope="module")
def catalogs() -> dict[str, Catalog]:
    """The catalogs as they are in the repository."""
    found = {}
    for name in TRANSLATED:
        with po_file(name).open("rb") as stream:
            found[name] = read_po(stream, locale=name, domain=DOMAIN)
    return found


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "zh"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.GB18030"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "zh_TW.UTF-8@x"}, "zh"),
        ({"LANG": "ZH-hans"}, "zh"),
        ({"LANG": "zhx_XX"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8", "LC_MESSAGES": "en_US"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "fr:zh_CN"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en_US:zh"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": ""}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
        ({"SIGHTSEEK_LANG": "zh"}, "zh"),
        ({"SIGHTSEEK_LANG": "zh_CN", "LANG": "C"}, "zh"),
        ({"SIGHTSEEK_LANG": "en", "LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "zh"}, "en"),
        ({"SIGHTSEEK_LANG": "fr", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"SIGHTSEEK_LANG": "", "LANG": "zh_CN.UTF-8"}, "zh"),
    ],
)
def test_the_environment_decides_the_language(environment: dict[str, str], expected: str) -> None:
    assert language_of(environment) == expected


@given(st.dictionaries(st.sampled_from(["SIGHTSEEK_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"]), st.text()))
def test_any_environment_gives_a_language(environment: dict[str, str]) -> None:
    assert language_of(environment) in LANGUAGES


def test_the_library_speaks_english() -> None:
    assert current() == "en"
    assert _("Options") == N_("Options") == retold("Options") == "Options"
    assert [ngettext("{count} file", "{count} files", n) for n in (0, 1, 2)] == [
        "{count} files",
        "{count} file",
        "{count} files",
    ]


def test_a_language_holds_until_another_is_chosen(language: str) -> None:
    assert current() == language
    assert _("Options") != "Options"
    use("en")
    assert _("Options") == "Options"
    use(language)
    assert _("Options") != "Options"


def test_what_is_not_a_message_stays_as_it_is(language: str) -> None:
    for text in ("", "x", "holiday/a cat.jpg", "No such", "选项", "a {brace}", "\x00\n", "such option: {name} files"):
        assert retold(text) == text
    assert _("no message of ours") == "no message of ours"


def test_a_reason_within_a_message_is_retold_too(language: str) -> None:
    said = retold("Invalid value for '-k': Input should be greater than or equal to 1")
    assert said == _("Invalid value for {name}: {reason}").format(
        name="'-k'", reason=_("Input should be greater than or equal to {least}").format(least=1)
    )
    unknown = retold("Invalid value for '-k': what Typer may say one day")
    assert "what Typer may say one day" in unknown
    assert unknown != "Invalid value for '-k': what Typer may say one day"


@given(st.data())
def test_a_message_is_recognised_with_its_fields_filled_in(data: st.DataObject) -> None:
    use(TRANSLATED[0])
    try:
        one = data.draw(st.sampled_from(messages._templates()))
        # Letters of another alphabet: no value is taken for a part of a message.
        values = {name: data.draw(st.text("абвгд/\\.{}()", min_size=1)) for name in _fields(one.message)}
        text = _filled(one.message, values)
        # Two messages may differ in nothing but the names of their fields.
        same = [
            other for other in messages._templates() if other.letters == one.letters and other.values(text) is not None
        ]
        assert one in same
        assert retold(text) in {_filled(_(other.message), other.values(text) or {}) for other in same}
    finally:
        use("en")


@pytest.mark.parametrize("name", TRANSLATED)
def test_every_message_is_translated(name: str, catalogs: dict[str, Catalog]) -> None:
    catalog = catalogs[name]
    assert not [message.id for message in catalog if message.fuzzy and message.id]
    found = {message.id: message for message in catalog if message.id}
    wanted = {message.id for message in template() if message.id}
    advice = "python -m tests.message_catalog brings the catalog up to date; then translate what is new"
    assert not wanted - set(found), advice
    assert not set(found) - wanted, advice
    assert not [message.id for message in found.values() if not translations(message)], advice


@pytest.mark.parametrize("name", TRANSLATED)
def test_translations_have_the_fields_of_their_messages(name: str, catalogs: dict[str, Catalog]) -> None:
    for message in catalogs[name]:
        for text in translations(message) if message.id else ():
            originals = [message.id] if isinstance(message.id, str) else list(message.id)
            wanted = {field: spec for original in originals for field, spec in _fields(original).items()}
            assert all(field.isidentifier() for field in wanted), (
                f"name the fields, and double other braces: {originals}"
            )
            assert _fields(text) == wanted, message.id


@pytest.mark.parametrize("name", TRANSLATED)
def test_translations_keep_what_is_typed_as_it_is(name: str, catalogs: dict[str, Catalog]) -> None:
    for message in catalogs[name]:
        for text in translations(message) if message.id else ():
            original = message.id if isinstance(message.id, str) else message.id[-1]
            typed = re.findall(
                r"`[^`]+`|(?<![\w-])--[a-z][a-z-]*|\$?SIGHTSEEK_[A-Z]+|\bsightseek(?: [a-z]+)?", original
            )
            for one in typed:
                assert one in text or one.split()[0] in text, (one, text)


def test_chinese_is_written_as_chinese(catalogs: dict[str, Catalog]) -> None:
    for message in catalogs["zh"]:
        for text in translations(message) if message.id else ():
            if re.search("[a-z]{2}", re.sub(r"\{[^}]*\}", "", text)):
                assert not text.isascii(), text
            assert not re.search("[\u4e00-\u9fff] *[,;:?!](?![\\w/-])", text), f"a western mark in {text}"
            words = re.sub(r"\{(\w+)[^}]*\}", lambda found: "" if found[1] in _CHINESE_FIELDS else found[0], text)
            assert not re.search("[\u4e00-\u9fff][A-Za-z0-9{]|[A-Za-z0-9}][\u4e00-\u9fff]", words), (
                f"no space in {text}"
            )
            assert not re.search("[，。；：！？（）“”] | [，。；：！？）”]", text), f"a space beside a mark in {text}"


@pytest.mark.parametrize("name", TRANSLATED)
def test_the_catalog_is_as_the_command_writes_it(name: str) -> None:
    assert po_file(name).read_bytes().decode() == as_po(updated(name)).decode()


@pytest.mark.parametrize("name", TRANSLATED)
def test_the_compiled_catalog_is_that_of_the_written_one(name: str, catalogs: dict[str, Catalog]) -> None:
    compiled = vars(gettext.translation(DOMAIN, FOLDER, [name]))["_catalog"]
    assert {key: text for key, text in compiled.items() if key} == {
        key: text for message in catalogs[name] if message.id for key, text in _compiled(message)
    }


def _compiled(message: Message) -> Iterator[tuple[object, str]]:
    """Yield the keys under which gettext keeps a message, and their texts."""
    if isinstance(message.id, str):
        yield message.id, str(message.string)
    else:
        for number, text in enumerate(message.string):
            yield (message.id[0], number), text


def _filled(message: str, values: dict[str, str]) -> str:
    return "".join(literal + (values[name] if name else "") for literal, name in messages._pieces(message))


def _fields(text: str) -> dict[str, tuple[str | None, str | None]]:
    """Return the fields in braces, each with its conversion and format."""
    return {
        name: (conversion, spec)
        for _literal, name, spec, conversion in string.Formatter().parse(text)
        if name is not None
    }


def _sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py"))]


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_messages_are_written_so_that_they_can_be_collected(path: Path) -> None:
    """A name or an f-string would not be collected, and a loop variable ``_`` would hide the function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "retrieval.messages"
        for name in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported:
            count = {"_": 1, "N_": 1, "ngettext": 2}.get(node.func.id, 0)
            variable_allowed = path.name in ("help.py", "messages.py")
            for argument in node.args[:count]:
                constant = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                assert constant or variable_allowed, f"line {node.lineno}"
    if "_" in imported:
        for scope in _scopes(symtable.symtable(path.read_text(encoding="utf-8"), str(path), "exec")):
            if scope.get_type() == "function" and "_" in scope.get_identifiers():
                found = scope.lookup("_")
                assert not (found.is_local() and found.is_referenced()), f"{scope.get_name()}: `_` is a variable there"


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for below in table.get_children():
        yield from _scopes(below)
