"""`superclient completion`: the script by which a shell completes our commands, options and environments."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from superclient import cli
from superclient.cli.app import Command, root

_HELP = """Print the script by which bash, zsh or fish completes `superclient`.

It completes commands, options, files and the environments of the configuration file. Have your shell read it at its
start; bash must be 4.4 or newer.
"""


def _completion(shell: str) -> None:
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click knows nothing of {shell}")
    click.echo(kind(root, {}, "superclient", cli.COMPLETE).source())


group = Command(
    "completion",
    help=_HELP,
    params=[click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]))],
    callback=_completion,
    examples=[
        'eval "$(superclient completion bash)"          # in ~/.bashrc',
        'eval "$(superclient completion zsh)"           # in ~/.zshrc',
        "superclient completion fish > ~/.config/fish/completions/superclient.fish",
    ],
)
