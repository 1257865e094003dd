"""``rnn-conformance``: finds the command, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from rnn_conformance.errors import Exit, SuiteError
from rnn_conformance.threads import one_thread

# Command to the line that --help shows; the module rnn_conformance.cli.<command> holds `command`.
COMMANDS = {
    "doctor": "What is installed here, and why an adapter cannot run.",
    "adapters": "List the adapters that are declared, for tox, CI and nightly jobs.",
    "run": "Run cases through adapters.",
    "judge": "Judge output files that a device brought back.",
    "cases": "List cases.",
    "show": "Print one case whole.",
    "repro": "Print a stand-alone script that shows a discrepancy.",
    "shapes": "Input, output, state and weight shapes in every framework.",
    "convert": "Convert weights between frameworks' layouts.",
    "explain": "What a framework's error message means: clause, cause, cure.",
    "report": "Build the site, or an export, of one or more results directories.",
    "diff": "What changed from one results directory to another.",
    "expect": "Bring declared differences in line with results.",
    "merge": "Join the results of several directories.",
    "fixtures": "Extend, generate, verify, lint and export the golden data.",
    "arguments": "Every argument: clauses, golden cases, verdicts of each run.",
    "coverage": "Count the combinations of arguments that a tier covers.",
    "mutants": "Run every variant against a tier: the mutation score, and survivors.",
    "fuzz": "Search beyond the golden data for new discrepancies.",
    "bisect": "The release of a framework in which a case's verdict changed.",
    "schema": "Print a JSON Schema.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command runs, or asks for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"rnn_conformance.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from rnn_conformance import __version__

        click.echo(f"rnn-conformance {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version)
def main() -> None:
    """Conformance suite and reference specification for LSTM and GRU layers.

    Exit codes: 0 everything as expected; 1 unexpected discrepancy, failure or stale declaration;
    2 wrong usage or configuration; 3 an adapter could not start; 4 internal error; 5 nothing
    selected; 130 interrupted (what was finished is on disk).
    """


class _Forgiving:
    """Standard output whose reader may go away: what is left then goes nowhere, and the exit status stays what it is."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, action: Callable[..., Any], *args: Any) -> Any:
        try:
            return action(*args)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            return len(args[0]) if args else None

    def write(self, text: str) -> int:
        return int(self._try(self._stream.write, text))

    def flush(self) -> None:
        self._try(self._stream.flush)


def entry_point() -> None:
    """Run the command line and exit with the contract's code; to be asked to end is to be interrupted."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores one of them
            signal.signal(number, signal.default_int_handler)
    one_thread(os.environ)  # before anything imports NumPy; for the processes that are started too
    sys.stdout = _Forgiving(sys.stdout)
    status = exit_status()
    sys.stdout.flush()
    # Python ends by SIGINT, whatever the status, where an interrupt went through code from a string (a dataclass being made); new such code makes it forget.
    exec("")
    sys.exit(status)


def exit_status() -> int:
    """Run the command line; errors are told on stderr, in one line."""
    try:
        result = main.main(standalone_mode=False)
        return result if isinstance(result, int) else Exit.EXPECTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; what was finished is on disk (continue with run --resume)", err=True)
        return Exit.INTERRUPTED
    except SuiteError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except OSError as error:  # an output folder that cannot be written, and the like
        click.echo(f"error: {error.filename or ''}: {error.strerror or error}", err=True)
        return Exit.USAGE
    except Exception as error:
        if type(error).__name__ == "DataError":  # imported only by the commands that read golden data
            click.echo(f"error: {error}", err=True)
            return Exit.USAGE
        import traceback

        traceback.print_exc()
        click.echo(f"internal error: {type(error).__name__}: {error}; please report it", err=True)
        return Exit.INTERNAL
