"""The program ``securefl``: its commands, and the edge where an error becomes a sentence and an exit code.

The rule kept here: whatever happens below, a person sees one sentence on stderr and never a traceback.
Exit codes: 0 done; 1 a finding or a failed run; 2 wrong usage or configuration; 130 Ctrl-C; 143 terminated.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from securefl import __version__
from securefl.cli import audit, bench, evaluate, export, member, member_keys, plan, predict, run, status
from securefl.cli import init as provisioning
from securefl.cli.output import speak_what_the_terminal_can_show
from securefl.errors import SecureFLError
from securefl.launch.signals import Interrupted, ignore_further_signals, raise_on_termination
from securefl.launch.supervisor import LOG_FOLDER
from securefl.storage.disk import disk_error

USAGE = 2
# Typer brings its own copy of click in some versions; its public BadParameter leads to the base of either.
_ParsingError: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="securefl",
    invoke_without_command=True,
    add_completion=False,
    suggest_commands=False,  # click makes the same suggestion
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(provisioning.init)
app.command("server")(member.server)
app.command("client")(member.client)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("status")(status.status)
app.command("audit")(audit.audit)
app.command("export")(export.export)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.add_typer(member_keys.app)
app.add_typer(bench.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"securefl {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: `securefl run` trains the built-in quickstart on this machine.")
def program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Fine-tune LoRA adapters together: the server adds up encrypted updates that it cannot read."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> int:
    """Run the command line in ``sys.argv`` and give the exit code."""
    raise_on_termination()
    return command_line(sys.argv[1:])


def command_line(arguments: Sequence[str]) -> int:
    """Run one command line; what it raises becomes one sentence on stderr and an exit code."""
    speak_what_the_terminal_can_show()
    try:
        # Not app(...): that would answer Ctrl-C, broken pipes and mistakes in its own ways.
        command = typer.main.get_command(app)
        with command.make_context("securefl", list(arguments)) as context:
            code = command.invoke(context)
        # What is still in the buffer may find the disk full, or nobody who reads.
        sys.stdout.flush()
    except typer.Exit as asked:
        return asked.exit_code
    except SecureFLError as error:
        return _say(str(error), error.exit_code)
    except _ParsingError as error:
        return _say(_parsing_sentence(error), USAGE)
    except Interrupted as interrupted:
        ignore_further_signals()
        return _say("ended before it was done.", interrupted.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone; Python's own flush at exit must not complain about it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        told = disk_error(error, None)
        return _say(str(told), told.exit_code) if told else _say(_unexpected_sentence(error), 1)
    except Exception as error:  # noqa: BLE001 - the process edge: nobody above could say it better
        return _say(_unexpected_sentence(error), 1)
    return code if isinstance(code, int) else 0


def _say(sentence: str, code: int) -> int:
    print(f"securefl: {sentence}", file=sys.stderr, flush=True)
    return code


def _parsing_sentence(error: Exception) -> str:
    """Click's own sentence, and where to read more."""
    said: str = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    program_name = context.command_path if context is not None else "securefl"
    said = " ".join(said.split()).rstrip(".")
    return f"{said}: see {program_name} --help." if said else f"see {program_name} --help."


def _unexpected_sentence(error: Exception) -> str:
    """Sentence for an error that nobody expected: its kind, and where its traceback is."""
    folder = Path(os.environ.get(LOG_FOLDER) or tempfile.gettempdir())
    try:
        handle, name = tempfile.mkstemp(prefix="securefl-", suffix=".traceback.log", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return f"an unexpected {type(error).__name__}; its traceback could not be written to {folder}."
    return f"an unexpected {type(error).__name__}: its traceback is in {name}, please report it."
