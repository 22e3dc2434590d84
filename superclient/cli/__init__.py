"""The `superclient` command: finds the subcommand that was asked for and imports that one alone.

Subcommands are modules with `add_arguments(parser)` and `run(args) -> exit status`. This file knows their names and one
line of help each, and no more, so that `superclient --help` works on the base install. The agent stays out of our own
commands.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import superclient
from superclient import _boot


class Command(NamedTuple):
    """A row of the table: where the subcommand lives, what it does, and the extra that it needs, if any."""

    module: str
    help: str
    extra: str | None


COMMANDS = {
    "run": Command("superclient.cli.run", "run a command with the agent active in it", None),
    "doctor": Command("superclient.cli.doctor", "tell what the agent sees, and what is missing", None),
    "demo": Command("superclient.cli.demo", "show what the agent saves, on a mock cluster", "demo"),
    "init": Command("superclient.cli.init", "create the system topics and print the ACLs for agents", "confluent"),
    "lag": Command(
        "superclient.cli.lag", "show how far a consumer group is behind, and what producers do about it", "cli"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one `superclient` command line; returns its exit status."""
    _boot.stand_down()
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if not words:
        parser.print_help()
        return 2
    name = words[0]
    if name not in COMMANDS:
        parser.parse_args(words)  # --help, --version, or says what the commands are
        return 2
    return _dispatch(name, words[1:])


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="superclient",
        usage="superclient [-h] [--version] COMMAND ...",
        description="The Kafka agent's own tools.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n`superclient COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"superclient {superclient.__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=list(COMMANDS), help=argparse.SUPPRESS)
    return parser


def _dispatch(name: str, words: Sequence[str]) -> int:
    command = COMMANDS[name]
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name == command.module:
            return _fail(f"`{name}` is not part of this version")
        if command.extra is None or (error.name or "").partition(".")[0] == "superclient":
            raise
        return _fail(f"`{name}` needs more than the base install: pip install 'superclient[{command.extra}]'")
    description = f"{command.help[0].upper()}{command.help[1:]}."
    parser = argparse.ArgumentParser(prog=f"superclient {name}", description=description)
    module.add_arguments(parser)
    status: int = module.run(parser.parse_args(words))
    return status


def _fail(message: str) -> int:
    print(f"superclient: {message}", file=sys.stderr)
    return 1
