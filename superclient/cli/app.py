"""The click root of the command line: global options on every command, sections of help, errors in one line.

A group of commands is a module with `group = app.Group("name")`; its commands are made with
`@group.command("send", examples=[…])` and take the session first, by `@pass_session`. Exceptions end a command: see
`_errors.told` for what becomes of them. A command may return its exit status; None is 0.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from superclient import cli
from superclient.cli import _errors
from superclient.cli._session import ROLES, Session
from superclient.errors import ConfigFileError

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Command(click.Command):
    """A subcommand: it has the global options too, but for the flags that it uses itself.

    `examples` are command lines, which --help shows as they are.
    """

    def __init__(self, name: str | None, examples: Sequence[str] = (), **attributes: Any) -> None:
        attributes["context_settings"] = {**_CONTEXT, **(attributes.get("context_settings") or {})}
        super().__init__(name, **attributes)
        self.examples = tuple(examples)
        self.params += _global_options({flag for param in self.params for flag in (*param.opts, *param.secondary_opts)})

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, after the configuration was shown where that was asked for."""
        session = ctx.ensure_object(Session)
        session.begin(ctx.command_path)
        if session.options.get("show_config"):
            session.show_config(answer=False)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own; the global ones come last."""
        _write_options(formatter, "Options", [one for one in self.get_params(ctx) if not is_global(one)], ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, the epilog, the global options."""
        _write_examples(formatter, self.examples)
        super().format_epilog(ctx, formatter)
        _write_options(formatter, "Global options", [one for one in self.params if is_global(one)], ctx)


class Group(click.Group):
    """A group of subcommands, in the order in which they were written."""

    command_class = Command

    def __init__(self, name: str | None = None, examples: Sequence[str] = (), **attributes: Any) -> None:
        attributes["context_settings"] = {**_CONTEXT, **(attributes.get("context_settings") or {})}
        if name in cli.GROUPS:
            attributes.setdefault("help", _sentence(cli.GROUPS[name].help))
        attributes.setdefault("callback", click.pass_context(_nothing_asked))
        super().__init__(
            name, **attributes, invoke_without_command=True, subcommand_metavar="COMMAND ...", no_args_is_help=False
        )
        self.examples = tuple(examples)
        self.params += _global_options(set(), hidden=True)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand, or what may have been meant."""
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing:
            ctx.fail(f"there is no command {args[0]!r}{cli.near(args[0], self.list_commands(ctx))}")
        return args[0] if command else None, command, args[1:]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, then the epilog."""
        _write_examples(formatter, self.examples)
        super().format_epilog(ctx, formatter)


class Root(Group):
    """`superclient` itself: imports a group when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those of the agent's side too: they are suggested and completed."""
        return [*cli.COMMANDS, *cli.GROUPS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The group of that name.

        Raises:
            click.ClickException: it is not part of this version.
        """
        if cmd_name in cli.COMMANDS:
            return None if ctx.resilient_parsing else _of_the_agent(cmd_name)
        if cmd_name not in cli.GROUPS:
            return None
        module = cli.GROUPS[cmd_name].module
        try:
            group: click.Command = importlib.import_module(module).group
        except ModuleNotFoundError as error:
            if error.name == module:
                raise click.ClickException(f"`{cmd_name}` is not part of this version") from None
            raise
        return group

    def get_help(self, ctx: click.Context) -> str:
        """The same as without click."""
        return cli.help_text().rstrip()

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands by their table, no module imported; options."""
        tables = {**cli.COMMANDS, **cli.GROUPS}
        found = [CompletionItem(name, help=row.help) for name, row in tables.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """As `app.main`, so that click's CliRunner shows what a person sees."""
        sys.exit(main(list(sys.argv[1:] if args is None else args)))


def _of_the_agent(name: str) -> click.Command:
    """A command of the agent's side, behind --show-config; of the other options it would know nothing."""

    def run(context: click.Context) -> int:
        session = context.ensure_object(Session)
        others = set(session.options) - {"show_config", "config_file", "env", *(f"{role}_env" for role in ROLES)}
        if others or session.settings or not session.options.get("show_config"):
            context.fail(f"`{name}` takes its options after its name")
        session.begin(context.command_path)
        session.show_config(answer=False)
        return cli.dispatch(name, context.args)

    as_it_is = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False}
    return click.Command(name, callback=click.pass_context(run), context_settings=as_it_is, add_help_option=False)


class _GlobalOption(click.Option):
    """An option that the session remembers; no command sees it as a parameter."""


def _global_options(taken: set[str], hidden: bool = False) -> list[click.Parameter]:
    options: list[click.Parameter] = []
    for row in cli.GLOBALS:
        flags = [flag for flag in row.flags if flag not in taken]
        if not any(flag.startswith("--") for flag in flags):
            continue
        attributes: dict[str, Any] = {"metavar": row.metavar} if row.metavar else {"is_flag": True}
        if row.flags[0] == "-X":
            attributes |= {"multiple": True, "type": _SETTING}
        if row.flags[-1].endswith("env"):
            attributes["shell_complete"] = _environments
        if row.flags[-1].endswith("-file"):
            attributes["type"] = click.Path()
        options.append(
            _GlobalOption(flags, help=row.help, hidden=hidden, expose_value=False, callback=_remember, **attributes)
        )
    return options


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if param.name is not None and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        ctx.ensure_object(Session).remember(param.name, value)


class _Setting(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in newer clicks alone
    """NAME=VALUE of -X."""

    name = "setting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Name, with dots, and value; the value is in no message."""
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        if not sign or not name.strip():
            self.fail("it takes NAME=VALUE", param, ctx)
        from superclient.toolkit import files

        return files.dotted(name.strip()), text


_SETTING = _Setting()


def _environments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from superclient.toolkit import files

    try:
        document = files.read(ctx.ensure_object(Session).options.get("config_file"))
    except ConfigFileError:
        return []
    return [name for name in files.environments(document) if name.startswith(incomplete)]


def _nothing_asked(ctx: click.Context) -> None:
    """A group without a subcommand: the configuration if it was asked for, else the help."""
    if ctx.invoked_subcommand is not None:
        return
    session = ctx.ensure_object(Session)
    if session.options.get("show_config"):
        session.begin(ctx.command_path)
        session.show_config(answer=True)
        return
    click.echo(ctx.get_help())
    ctx.exit(2)


def is_global(param: click.Parameter) -> bool:
    """Whether it is one of the options that every command has."""
    return isinstance(param, _GlobalOption)


def _write_options(
    formatter: click.HelpFormatter, title: str, params: Sequence[click.Parameter], ctx: click.Context
) -> None:
    rows = [param.get_help_record(ctx) for param in params if not isinstance(param, click.Argument)]
    if any(rows):
        with formatter.section(title):
            formatter.write_dl([row for row in rows if row is not None], col_max=36)


def _write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    if examples:
        formatter.write_paragraph()
        formatter.write("Examples:\n")
        for line in examples:
            formatter.write(f"  {line}\n")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


root = Root("superclient")


# --- running ----------------------------------------------------------------------------------------------------------


def main(words: Sequence[str]) -> int:
    """Run a command line; returns its exit status."""
    instruction = os.environ.get(cli.COMPLETE)
    if instruction:
        return _complete(instruction)
    session = Session()
    status = _guarded(session, lambda: _run(session, words))
    # What is still buffered may meet a full disk, which is news only if nothing went wrong before.
    ended = _guarded(session, session.end, silent=status != 0)
    return status or ended


def _run(session: Session, words: Sequence[str]) -> int:
    with root.make_context("superclient", list(words), obj=session) as ctx:
        status = root.invoke(ctx)
    return status if isinstance(status, int) and not isinstance(status, bool) else 0


def _guarded(session: Session, step: Callable[[], int | None], silent: bool = False) -> int:
    try:
        return step() or 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:  # the reader has had enough
        cli.give_up_stdout()
        return 0
    except (KeyboardInterrupt, click.Abort):
        return cli.INTERRUPTED
    except Exception as error:
        status, text = _errors.told(session, error)
        if silent or not text:
            return status
        if session.verbose:
            click.echo(traceback.format_exc(), nl=False, err=True)
        click.echo(" ".join(text.split()), err=True)
        return status


def _complete(instruction: str) -> int:
    from click.shell_completion import shell_complete

    logging.disable()  # who presses Tab is not to be warned
    try:
        return shell_complete(root, {"obj": Session()}, "superclient", cli.COMPLETE, instruction)
    finally:
        logging.disable(logging.NOTSET)
