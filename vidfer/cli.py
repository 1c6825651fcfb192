"""The command line: parse, call, exit code. Heavy imports happen in the commands."""

from __future__ import annotations

import argparse
import difflib
import errno
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import vidfer
from vidfer.commands import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from vidfer.commands.arguments import COMMANDS
from vidfer.commands.standard_streams import use_lossy_streams
from vidfer.errors import VidferError
from vidfer.memory_limit import is_out_of_memory, memory_advice

_SHOWN = ("status", "manifest", "live", "study")  # commands whose result is what they print


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 some clip failed, 2 wrong usage, 130 interrupted."""
    gc.set_threshold(10_000, 10, 10)  # as in a worker: imports make many objects and no garbage
    stdout = use_lossy_streams()
    options = parse(arguments)
    code = _run(options)
    sys.stdout.flush()
    if stdout is None or stdout.error is None:
        return code
    if isinstance(stdout.error, BrokenPipeError):  # the reader of our output has gone: `| head` has seen enough
        return code or 128 + signal.SIGPIPE
    what = "" if options.command in _SHOWN else "; the files are written"
    reason = "it is closed" if stdout.error.errno == errno.EBADF else stdout.error.strerror
    print(f"vidfer: standard output cannot be written: {reason}{what if code == EXIT_OK else ''}", file=sys.stderr)
    return code or (EXIT_USAGE if options.command in _SHOWN else EXIT_OK)


def _run(options: argparse.Namespace) -> int:
    try:
        os.getcwd()
    except OSError:
        print("vidfer: the current folder has been deleted: go to one that exists (cd)", file=sys.stderr)
        return EXIT_USAGE
    try:
        command = importlib.import_module(f"vidfer.commands.{options.command}")
        return int(command.run(options))
    except VidferError as error:
        if getattr(options, "verbose", False):
            traceback.print_exc()
        print(f"vidfer: {error}", file=sys.stderr)
        return EXIT_USAGE
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print(f"vidfer: out of memory: {type(error).__name__}: {error}: {memory_advice()}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("vidfer: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return EXIT_INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is longer than a screen and hides it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed options of a command line; one that is wrong ends the process with exit code 2."""
    parser = build_parser()
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help(sys.stderr)
        parser.exit(EXIT_USAGE)
    _refuse_unknown_option(parser, sys.argv[1:] if arguments is None else arguments)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands = _subcommands(parser)
        _refuse(commands[options.command], unknown)
    return options


def _refuse_unknown_option(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Refuse an option that no command has: argparse would take its value for a positional and complain about that."""
    for i, argument in enumerate(arguments):
        if argument == "--":
            return
        if argument.startswith("--"):
            option = argument.partition("=")[0]
            if not any(known.startswith(option) for known in parser._option_string_actions):
                _refuse(parser, [argument, *(value for value in arguments[i + 1 : i + 2] if value[:1] != "-")])
        else:
            parser = _subcommands(parser).get(argument, parser)


def _refuse(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> NoReturn:
    near = difflib.get_close_matches(unknown[0].partition("=")[0], list(parser._option_string_actions), n=1)
    parser.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; did you mean {near[0]}?" if near else ""))


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next((dict(a.choices) for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; imports nothing heavy."""
    parser = _Parser(
        prog="vidfer",
        description="Facial-expression timelines from folders of videos. "
        "Reports expressions as people label them; it does not read minds and recognises nobody.",
    )
    parser.add_argument("--version", action="version", version=f"vidfer {vidfer.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, add_arguments) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + "."))
    return parser


if __name__ == "__main__":
    sys.exit(main())
