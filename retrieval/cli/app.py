"""The Typer application: the commands by name, and what happens to errors, Ctrl-C and broken pipes."""

import io
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from retrieval import __version__
from retrieval.cli import evaluation, explaining, indexing, labelling, maintenance, models, searching, training
from retrieval.cli.options import say, shown
from retrieval.cli.previews import WithPreview
from retrieval.errors import RetrievalError


class _Commands(TyperGroup):
    """Turns expected errors into one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - click's own signature
        try:
            _prepare_streams()
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except RetrievalError as error:
            say(f"sightseek: {shown(str(error))}")
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # The reader has gone (`| head`): not an error; keep the interpreter from flushing into it again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            # What the engine expects to fail it says itself; this is a full disk behind `>` and the like.
            say(f"sightseek: {shown(str(error))}; make room or allow access, and run the command again")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing more goes where it cannot go
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say("sightseek: stopped; nothing that was committed is lost")
            raise typer.Exit(130) from None


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


app.command("index")(indexing.index)
app.command("search", cls=WithPreview)(searching.search)
app.command("explain")(explaining.explain)
app.command("status")(maintenance.status)
app.command("verify")(maintenance.verify)
app.command("forget")(maintenance.forget)
app.command("purge")(maintenance.purge)
app.command("doctor")(maintenance.doctor)
app.command("tag")(labelling.tag)
app.command("describe")(labelling.describe)
app.command("evaluate")(evaluation.evaluate)
app.command("train")(training.train)
app.add_typer(models.app, name="models")
