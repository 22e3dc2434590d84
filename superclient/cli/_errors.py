"""What becomes of an exception that ends a command: its exit status, and the line that tells of it."""

from __future__ import annotations

import click

from superclient import cli
from superclient.cli._session import Session
from superclient.errors import ConfigFileError, ToolkitError


def told(session: Session, error: Exception) -> tuple[int, str]:  # noqa: PLR0911  # a table, read downwards
    """The exit status of an error, and the line that tells of it; "" for none."""
    if session.interrupted and isinstance(error, SystemError):
        return cli.INTERRUPTED, ""
    code = getattr(error, "code", None) if isinstance(error, ToolkitError) else _library_code(error)
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else session.path
        hint = "" if session.begun else f" (see {path} --help)"
        return 2, f"{path}: {error.format_message()}{hint}"
    if isinstance(error, click.ClickException):
        return error.exit_code, f"{session.path}: {error.format_message()}"
    if isinstance(error, ConfigFileError) or code == "_INVALID_ARG":
        return 2, f"{session.path}: {session.explained(error, code)}"
    if isinstance(error, (ToolkitError, OSError)) or code is not None:
        return 1, f"{session.path}: {session.explained(error, code)}"
    if isinstance(error, ImportError) and (error.name or "superclient").partition(".")[0] != "superclient":
        return 1, f"superclient: {cli.needs(session.path.removeprefix('superclient '), 'cli')}"
    if type(error) is ValueError:  # what an API would not take; its subclasses come out of our own mistakes
        return 2, f"{session.path}: {error}"
    return 1, f"{session.path}: a mistake of superclient's own: {type(error).__name__}: {error}; -v shows where"


def _library_code(error: Exception) -> str | None:
    """The name of confluent-kafka's error in an exception of its own."""
    found = error.args[0] if error.args else None
    name = getattr(found, "name", None)
    return str(name()) if type(found).__module__.endswith("cimpl") and callable(name) else None
