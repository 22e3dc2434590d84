"""docs/cli.md is the command line as it is: every command, option and example, and the global options.

`python -m tests.unit.test_cli_docs --update` writes them anew.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from superclient import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
MARKS = re.compile(r"(<!-- (\w+): .*? -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def written(text: str) -> str:
    """The page with its generated parts as the code has them."""
    parts = {"globals": global_options, "commands": commands}
    return MARKS.sub(lambda found: f"{found[1]}\n{parts[found[2]]()}\n{found[3]}", text)


def global_options() -> str:
    rows = [f"| `{' '.join(filter(None, (', '.join(row.flags), row.metavar)))}` | {row.help} |" for row in cli.GLOBALS]
    return "\n".join(["| option | meaning |", "|---|---|", *rows, ""])


def commands() -> str:
    return "\n".join(section(path, command) for path, command in leaves())


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every subcommand, by the words that call it."""
    for name, row in cli.GROUPS.items():
        if importlib.util.find_spec(row.module) is None:
            continue
        found = importlib.import_module(row.module).group
        if isinstance(found, click.Group):
            for leaf, command in found.commands.items():
                yield f"{name} {leaf}", command
        else:
            yield name, found


def section(path: str, command: click.Command) -> str:
    from superclient.cli.app import is_global

    context = click.Context(command, info_name=f"superclient {path}")
    usage = " ".join(["superclient", path, *command.collect_usage_pieces(context)])
    paragraphs = inspect.cleandoc((command.help or "").partition("\f")[0]).split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    rows = []
    for param in command.params:
        record = param.get_help_record(context)
        if record is not None and isinstance(param, click.Option) and not is_global(param):
            rows.append(f"| `{in_cell(record[0])}` | {in_cell(record[1], '*<')} |")
    table = ["| option | meaning |", "|---|---|", *rows, ""] if rows else []
    examples = ["```text", *getattr(command, "examples", ()), "```", ""]
    return "\n".join([f"### {path}", "", f"`{usage}`", "", text, "", *table, *examples])


def in_cell(text: str, marks: str = "") -> str:
    """What a table may hold: no line breaks, bars, nor what Markdown takes for its own."""
    return re.sub(f"([|{marks}])", r"\\\1", " ".join(text.split()))


def test_the_page_is_the_command_line() -> None:
    """Issue item 3: every command with its options and examples, to the letter."""
    text = PAGE.read_text()
    assert {name for _, name, _ in MARKS.findall(text)} == {"globals", "commands"}
    assert text == written(text), "python -m tests.unit.test_cli_docs --update"


if __name__ == "__main__" and "--update" in sys.argv:
    PAGE.write_text(written(PAGE.read_text()))
