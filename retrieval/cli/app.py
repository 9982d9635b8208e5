"""The Typer application: the commands by name, and what happens to errors, Ctrl-C and broken pipes."""

import gc
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from retrieval import __version__
from retrieval.cli.lazy import Commands, stand_in
from retrieval.cli.options import say, shown
from retrieval.errors import RetrievalError
from retrieval.messages import _, current, retold, use
from retrieval.spoken import LANGUAGES, language_for


class _Commands(TyperGroup):
    """Speaks the user's language, and turns expected errors into one line on stderr and an exit code.

    A command's module is imported when it is called; for the list of all of them one line of each is enough.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Typer's own signature
        super().__init__(*args, **kwargs)
        self.commands = Commands()  # type: ignore[assignment] # nothing is ever added to it
        self._listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - click's own signature
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - click's own signature
        return stand_in(cmd_name) if self._listing else self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - click's own signature
        self._listing = True
        super().format_commands(ctx, formatter)
        self._listing = False

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's own signature
        _prepare_streams()
        _spare_the_collector()
        _spare_the_processors()
        use(language_for(os.environ, (sys.stdout, sys.stderr)))
        if current() != LANGUAGES[0]:
            from retrieval.cli.help import translate

            translate([self])
        return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's own signature
        with _wrong_use_told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - click's own signature
        try:
            with _wrong_use_told():
                result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except RetrievalError as error:
            say(f"sightseek: {shown(retold(str(error)))}")
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # The reader has gone (`| head`): not an error; keep the interpreter from flushing into it again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            # What the engine expects to fail it says itself; this is a full disk behind `>` and the like.
            advice = _("{reason}; make room or allow access, and run the command again")
            say(f"sightseek: {shown(advice.format(reason=error))}")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing more goes where it cannot go
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say("sightseek: " + _("stopped; nothing that was committed is lost"))
            raise typer.Exit(130) from None


@contextmanager
def _wrong_use_told() -> Iterator[None]:
    """Say what Typer has to say of a wrong use in the language in use; in English Typer does it itself."""
    if current() == LANGUAGES[0]:
        yield
        return
    from retrieval.cli.help import WrongUse, say_wrong_use

    try:
        yield
    except WrongUse as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # what it says is the page of help
            raise
        say_wrong_use(error)
        raise typer.Exit(error.exit_code) from None


def _spare_the_collector() -> None:
    """Look for cycles among what is made from now on alone, and not after each few hundred objects.

    A scan or a search makes hundreds of thousands that are in no cycle; looking at them takes a tenth of its time.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _spare_the_processors() -> None:
    """Let NumPy's threads sleep as soon as they wait, which they decide when NumPy is imported.

    Else they spin for a while when there is nothing to do, and take a processor from the model that is being opened.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # as a power of two of the processor's ticks; 26 without


def _prepare_streams() -> None:
    """Make sure that there is a stdout, and that any name can be printed whatever the terminal's encoding."""
    if sys.stdout is None:  # closed by the caller: `>&-`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


app = typer.Typer(
    name="sightseek",
    cls=_Commands,
    help="Find photos and moments of video by words, by a picture, by a clip, or by a weighted mix of them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sightseek {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
