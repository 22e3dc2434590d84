"""The `superclient` command: finds the subcommand that was asked for and imports that one alone.

There are two kinds. Commands of the agent's side (`COMMANDS`) are modules with `add_arguments(parser)` and `run(args)`,
which returns the exit status; they work on the base install. The rest (`GROUPS`) are click groups below
`superclient.cli.app`, which is imported only for them. This file knows their names and one line of help each, and no
more, so that `superclient --help` works without click and waits for nothing. The agent stays out of our own commands.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import superclient
from superclient import _boot

if TYPE_CHECKING:
    import argparse


class Command(NamedTuple):
    """A row of the table: where the subcommand lives, what it does, and the extra that it needs, if any."""

    module: str
    help: str
    extra: str | None


class Option(NamedTuple):
    """A global option: how it is written (as click reads it), the name of its value, if it takes one, and its help."""

    flags: tuple[str, ...]
    metavar: str | None
    help: str


COMMANDS = {
    "run": Command("superclient.cli.run", "run a command with the agent active in it", None),
    "doctor": Command("superclient.cli.doctor", "tell what the agent sees, and what is missing", None),
    "demo": Command("superclient.cli.demo", "show what the agent saves, on a mock cluster", "demo"),
    "init": Command("superclient.cli.init", "create the system topics and print the ACLs for agents", "confluent"),
    "lag": Command(
        "superclient.cli.lag", "show how far a consumer group is behind, and what producers do about it", "cli"
    ),
}

GROUPS = {
    "admin": Command("superclient.cli.admin", "list, describe, create and delete topics; describe the cluster", "cli"),
    "produce": Command("superclient.cli.produce", "send records: one, a transaction of them, a file", "cli"),
    "consume": Command("superclient.cli.consume", "read records: one, a batch, a stream of them", "cli"),
    "relay": Command("superclient.cli.relay", "forward a topic into another one, exactly once", "cli"),
    "load": Command("superclient.cli.load", "produce test data", "cli"),
    "info": Command("superclient.cli.info", "show versions and the configuration in force", "cli"),
    "completion": Command("superclient.cli.completion", "print the completion script for a shell", "cli"),
}

GLOBALS = (
    Option(("-b", "--bootstrap-servers"), "HOST:PORT,...", "where the cluster is; wins over the file"),
    Option(("-e", "--env"), "NAME", "environment of the configuration file, for every role"),
    Option(("--producer-env",), "NAME", "environment for what produces; wins over --env"),
    Option(("--consumer-env",), "NAME", "environment for what consumes; wins over --env"),
    Option(("--admin-env",), "NAME", "environment for what administers; wins over --env"),
    Option(("-C", "--config-file"), "FILE", "configuration file (default: ~/.kafka/config.json)"),
    Option(
        ("-X", "--option"), "NAME=VALUE", "any setting of librdkafka; as often as needed, wins over -b and the file"
    ),
    Option(("--json",), None, "JSON also on a terminal; elsewhere it is the default"),
    Option(("--pretty-json/--compact-json",), None, "JSON over several lines, or each document on one"),
    Option(("-o", "--output-file"), "FILE", "write there instead of stdout"),
    Option(("-f", "--filter"), "REGEX", "keep what matches, whatever its case; KEY:REGEX looks at one key of JSON"),
    Option(("-v", "--verbose"), None, "show what librdkafka says, events, and the trace of an error"),
    Option(("--show-config",), None, "print the configuration in force, secrets masked"),
)

_SECTIONS = (("The agent", COMMANDS), ("Kafka, with the extra `cli`", GROUPS))
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}  # what writing meets alone
INTERRUPTED = 130  # the exit status after Ctrl-C
COMPLETE = "_SUPERCLIENT_COMPLETE"  # the variable by which click's completion scripts ask


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one `superclient` command line; returns its exit status."""
    _boot.stand_down()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # help may have letters that an old locale has not
    try:
        return _written(lambda: _main(list(sys.argv[1:] if arguments is None else arguments)))
    except KeyboardInterrupt:  # wherever it is, also in the middle of an import
        return INTERRUPTED


def _written(step: Callable[[], int]) -> int:
    """The exit status of a step, and of what it printed: else the interpreter would tell of that, at its very end."""
    try:
        try:
            return step()
        finally:  # also where argparse has printed its help, and leaves
            if sys.stdout is not None and not sys.stdout.closed:
                sys.stdout.flush()
    except BrokenPipeError:  # the reader has had enough
        give_up_stdout()
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        give_up_stdout()
        return _fail(error.strerror or str(error))


def _main(words: Sequence[str]) -> int:
    first = words[0] if words else ""
    if os.environ.get(COMPLETE) or first in GROUPS:
        return _click(words)
    if first in COMMANDS:
        return dispatch(first, words[1:])
    if first in ("", "-h", "--help"):
        print(help_text(), end="")
        return 0 if first else 2
    if first == "--version":
        print(f"superclient {superclient.__version__}")
        return 0
    if first.startswith("-"):
        return _click(words)
    return _fail(f"there is no command {first!r}{near(first, [*COMMANDS, *GROUPS])}; superclient --help lists them", 2)


def help_text() -> str:
    """What `superclient --help` prints."""
    width = max(map(len, (*COMMANDS, *GROUPS)))
    lines = ["usage: superclient [-h] [--version] [GLOBAL OPTIONS] COMMAND ...", "", "Kafka from the command line."]
    for title, table in _SECTIONS:
        lines += ["", f"{title}:", *(f"  {name:<{width}}  {command.help}" for name, command in table.items())]
    rows = [(", ".join(option.flags) + f" {option.metavar or ''}", option.help) for option in GLOBALS]
    width = max(len(flags) for flags, _ in rows)
    lines += ["", "Global options, before the command or after its subcommand (for the second section):"]
    lines += [f"  {flags:<{width}}  {what}" for flags, what in rows]
    lines += ["", "Examples:", *_EXAMPLES, "", "`superclient COMMAND --help` tells more."]
    return "\n".join(lines) + "\n"


_EXAMPLES = (
    "  superclient run python your_app.py",
    "  superclient admin list-topics -b localhost:9092",
    "  superclient -e prod consume stream orders -o -10",
)


def near(word: str, words: Sequence[str]) -> str:
    """`, did you mean …?` for what was misspelt, "" where nothing is like it."""
    from difflib import get_close_matches

    found = get_close_matches(word, words, 1)
    return f", did you mean {found[0]!r}?" if found else ""


def needs(name: str, extra: str) -> str:
    """The line for a command that lacks something of its extra."""
    return f"`{name}` needs more than the base install: pip install 'superclient[{extra}]'"


def _click(words: Sequence[str]) -> int:
    try:
        from superclient.cli import app
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("", "superclient"):
            raise
        name = next((word for word in words if word in GROUPS), None)
        options = [flag for row in GLOBALS for flag in row.flags]
        if name is None and words and words[0] not in options:
            return _fail(f"there is no option {words[0]!r}{near(words[0], options)}; superclient --help lists them", 2)
        return _fail(needs(name or "superclient", "cli"))
    return app.main(words)


def dispatch(name: str, words: Sequence[str]) -> int:
    """Run a command of the agent's side; returns its exit status."""
    command = COMMANDS[name]
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name == command.module:
            return _fail(f"`{name}` is not part of this version")
        if command.extra is None or (error.name or "").partition(".")[0] == "superclient":
            raise
        return _fail(needs(name, command.extra))
    description = f"{command.help[0].upper()}{command.help[1:]}."
    parser = _parser(f"superclient {name}", description)
    module.add_arguments(parser)
    status: int = module.run(parser.parse_args(words))
    return status


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    import argparse

    class Parser(argparse.ArgumentParser):
        """One whose errors are a line, as everywhere else here."""

        def error(self, message: str) -> NoReturn:
            self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    return Parser(prog=program, description=description)


def give_up_stdout() -> None:
    """After a broken pipe: else the interpreter, flushing at its end, meets it once more and says so."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):  # it is closed, or no real file
        pass


def _fail(message: str, status: int = 1) -> int:
    print(f"superclient: {message}", file=sys.stderr)
    return status
