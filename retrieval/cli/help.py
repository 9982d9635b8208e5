"""Help and wrong usage in the language in use: what Typer says itself, and the texts of commands and options.

Typer has part of its words in gettext's default catalog and part nowhere, by version. Here they are looked up in ours
where they are printed, so that no other part knows of it. In English everything is left to Typer.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer

from retrieval.cli.options import say
from retrieval.columns import cells, padded, paragraphs, wrapped
from retrieval.messages import N_, _, retold

# Typer's own words, for the catalog; `retold` knows them by these.
TYPERS_WORDS = (
    N_("Arguments"),
    N_("Options"),
    N_("Commands"),
    N_("Show this message and exit."),
    N_("Install completion for the current shell."),
    N_("Show completion for the current shell, to copy it or customize the installation."),
    N_("required"),
    N_("default: {value}"),
    N_("Missing command."),
    N_("Missing argument {name}."),
    N_("Missing option {name}."),
    N_("No such command {name}."),
    N_("No such command {name}. Did you mean {others}?"),
    N_("No such option: {name}"),
    N_("No such option: {name} (Possible options: {others})"),
    N_("Option {name} does not take a value."),
    N_("Option {name} requires an argument."),
    N_("Got unexpected extra argument(s) ({names})"),
    N_("Invalid value for {name}: {reason}"),
    N_("Invalid value: {reason}"),
    N_("Value error, {value} is not one of {others}."),
    N_("{value} is not one of {others}."),
    N_("Invalid value for {name}: {value} is not a valid int."),
    N_("Invalid value for {name}: {value} is not a valid int range."),
    N_("Invalid value for {name}: {value} is not a valid float."),
    N_("Invalid value for {name}: {value} is not a valid float range."),
    N_("Invalid value for {name}: {value} is not in the range {range}."),
)

_LEFT_COLUMN = 30
_GAP = 2

# What a wrong use raises lies in a private module of Typer, or in click, by version.
WrongUse: type[Any] = typer.BadParameter.__bases__[0]
_Formatter: type[Any] = typer.Context.formatter_class


class _TranslatedFormatter(_Formatter):  # type: ignore[misc]  # it is Any here
    """Writes a page of help with Typer's words translated, in columns that line up with wide characters."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line that says how the command is called."""
        super().write_usage(prog, args, prefix or _("Usage: "))

    def write_heading(self, heading: str) -> None:
        """Write what a list is of."""
        self.write(" " * self.current_indent + _("{heading}:").format(heading=_(heading)) + "\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs with the indent that holds here."""
        indent = " " * self.current_indent
        blocks = ("\n".join(indent + line for line in self._lines(block)) for block in paragraphs(text))
        self.write("\n\n".join(blocks) + "\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = _LEFT_COLUMN, col_spacing: int = _GAP) -> None:
        """Write two columns: a name, and what it means."""
        left = min(max(cells(name) for name, _text in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for name, text in rows:
            lines = wrapped(" ".join(_helped(text)), max(self.width - left - 2, 10))
            if cells(name) > left - col_spacing and lines:
                self.write(f"{indent}{name}\n")
                name = ""
            for line in lines or [""]:
                self.write(f"{indent}{padded(name, left)}{line}".rstrip() + "\n")
                name = ""

    def _lines(self, block: str) -> list[str]:
        return wrapped(block, max(self.width - self.current_indent, 10))


def _helped(text: str) -> Iterator[str]:
    """Yield an option's help, and what Typer adds in brackets: ``[default: 10; required]``."""
    help_text, _gap, added = text.partition("  [") if not text.startswith("[") else ("", "", text[1:])
    if help_text:
        yield _(help_text)
    if added:
        yield f"[{'; '.join(map(retold, added.removesuffix(']').split('; ')))}]"


class _TranslatedContext(typer.Context):
    formatter_class = _TranslatedFormatter


def translate(commands: Iterable[Any]) -> None:
    """Put commands, their options and the commands below them into the language in use."""
    for command in commands:
        command.context_class = _TranslatedContext
        if command.help:
            command.help = _(command.help)
            # Typer ends a short help at a full stop followed by a space, which Chinese does not have.
            first, stop, _rest = next(paragraphs(command.help)).partition("。")
            command.short_help = first + stop if stop else None
        for parameter in command.params:
            if getattr(parameter, "help", None):
                parameter.help = _(parameter.help)
        below = getattr(command, "commands", {})
        if isinstance(below, dict):  # others are put into it as they are made
            translate(below.values())


def say_wrong_use(error: Any) -> None:  # noqa: ANN401 - Typer's private class
    """Say in the language in use what is wrong with a command as it was written, and how to get help."""
    context = error.ctx
    if context is not None:
        say(context.get_usage())
        say(
            _("Try '{command} {option}' for help.").format(
                command=context.command_path, option=context.help_option_names[0]
            )
        )
        say("")
    say(_("Error: {reason}").format(reason=retold(error.format_message())))
