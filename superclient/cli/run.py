"""`superclient run CMD…`: replaces itself with a command in whose Pythons the agent is active."""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping

import superclient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command is taken as it is, options included."""
    parser.usage = "superclient run [-h] CMD ..."
    parser.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER, help="the command and its arguments")
    parser.set_defaults(usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Does not return if the command starts; 127 if it is not found, 126 if it cannot be executed, as in a shell."""
    command: list[str] = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        args.usage_error("CMD is missing")
    sys.stdout.flush()
    environ = environment(os.environ)
    try:
        if os.name == "nt":  # exec there returns to the shell at once
            return subprocess.run(command, env=environ, check=False).returncode
        os.execvpe(command[0], command, environ)
    except FileNotFoundError:
        print(f"superclient run: {command[0]}: command not found", file=sys.stderr)
        return 127
    except OSError as error:
        print(f"superclient run: {command[0]}: {error.strerror}", file=sys.stderr)
        return 126


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for the command: the entry's folder first on PYTHONPATH, and which Python it is meant for."""
    folder = os.path.join(os.path.dirname(os.path.abspath(superclient.__file__)), "_site")
    rest = environ.get("PYTHONPATH", "")
    if rest.split(os.pathsep)[0] != folder:
        rest = f"{folder}{os.pathsep}{rest}" if rest else folder
    python = "%d.%d %s" % (*sys.version_info[:2], sys.prefix)  # noqa: UP031 - as the entry, written for any Python, has it
    return {**environ, "PYTHONPATH": rest, "_SUPERCLIENT_RUN_PYTHON": python}
