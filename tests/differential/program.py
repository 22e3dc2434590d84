"""What a program under comparison says about itself: its docstring, and `# name: value` lines below it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, fields
from pathlib import Path

FOLDER = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Program:
    """One small program. It is given the bootstrap servers and the name of a topic as its arguments.

    Attributes:
        path: the file.
        shows: the first line of its docstring.
        options: of the interpreter (`# options: -X dev`).
        shell: what /bin/sh does with the command in "$@" (`# shell: exec "$@" 2>&-`).
        env: additional variables, for both arms (`# env: NAME=value`).
        partitions: of its topic (`# partitions: 3`; one by default).
        compare: what else of the records is compared: `partitions` of unkeyed ones, `timestamps`.
        records: `equal`; or `no fewer` where without the agent it is chance whether they arrive in time.
        agent: `active`: the start-up line is on stderr, and the one that says what was changed;
            `line`: the start-up line alone, for programs that make no producer, or one that is not optimised;
            `silent`: neither, the program sees to that (stderr closed, logging configured, …).
        ours: how lines of the agent begin that the program's own logging formats (AGT-50); a regular expression.
        warnings: how many the agent gives at most; none by default (`# warnings: 3`).
        signal: sent when the program says "ready" (`# signal: SIGINT`).
        stderr: `equal`; or `chance` where a library logs each of its attempts to connect.
        packages: it needs, beside the libraries (`# packages: name name`).
    """

    path: Path
    shows: str
    options: tuple[str, ...] = ()
    shell: str = ""
    env: dict[str, str] = field(default_factory=dict)
    partitions: int = 1
    compare: frozenset[str] = frozenset()
    records: str = "equal"
    agent: str = "active"
    ours: str = ""
    warnings: int = 0
    signal: str = ""
    stderr: str = "equal"
    packages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"


def read(path: Path) -> Program:
    """The program in a file."""
    text = path.read_text()
    shows = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    found: dict[str, str] = dict(re.findall(r"(?m)^# ([a-z]+): (.+)$", text))
    known = {each.name for each in fields(Program)} - {"path", "shows"}
    if not shows or not found.keys() <= known:
        raise ValueError(f"{path.name}: no docstring, or {sorted(found.keys() - known)} is not known")
    return Program(
        path=path,
        shows=shows,
        options=tuple(found.get("options", "").split()),
        shell=found.get("shell", ""),
        env=dict(pair.split("=", 1) for pair in found.get("env", "").split()),
        partitions=int(found.get("partitions", "1")),
        compare=frozenset(found.get("compare", "").split()),
        records=found.get("records", "equal"),
        agent=found.get("agent", "active").partition(" ")[0],
        ours=found.get("ours", ""),
        warnings=int(found.get("warnings", "0")),
        signal=found.get("signal", ""),
        stderr=found.get("stderr", "equal"),
        packages=tuple(found.get("packages", "").split()),
    )


def programs(folder: str) -> list[Program]:
    """All of `programs/<folder>`, by name."""
    return [read(path) for path in sorted((FOLDER / folder).glob("*.py"))]
