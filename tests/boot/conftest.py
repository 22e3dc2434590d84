"""A small library with a defining module, an adapter for it that only notes its calls, and an installed agent."""

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.environments import environment, run_program

ADAPTER = """
    calls = []
    def patch(module, late=False):
        calls.append((module.__name__, late))
        module.Producer.patched = True
    """
PRELUDE = """
import sys, superclient._boot as boot
boot.HOOKS.clear()
boot.HOOKS["lib.defining"] = "stub_adapter"
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def write(folder: Path, name: str, lines: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = min((len(line) - len(line.lstrip()) for line in lines.splitlines() if line.strip()), default=0)
    path.write_text("\n".join(line[cut:] for line in lines.strip("\n").splitlines()) + "\n")


@pytest.fixture(scope="session")
def python() -> Path:
    """An environment with the project's wheel and nothing else."""
    return environment()


@pytest.fixture(scope="session")
def bare_python() -> Path:
    return environment(superclient=False)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with the library and its adapter, for PYTHONPATH."""
    write(tmp_path, "lib/__init__.py", "from .defining import Producer")
    write(tmp_path, "lib/defining.py", "class Producer:\n    'A producer.'\n    patched = False")
    write(tmp_path, "lib/data.txt", "text")
    write(tmp_path, "stub_adapter.py", ADAPTER)
    return tmp_path


@pytest.fixture
def run(python: Path, lab: Path) -> Run:
    """Runs a program with the lab's library hooked; it must succeed and say nothing on stderr."""

    def run(
        program: str, *, options: Iterable[str] = (), env: dict[str, str] | None = None, stderr: str = ""
    ) -> object:
        cut = program.strip("\n")
        indent = len(cut) - len(cut.lstrip())
        text = PRELUDE + "\n".join(line[indent:] for line in cut.splitlines())
        done = run_program(python, text, options=tuple(options), env={"PYTHONPATH": str(lab), **(env or {})})
        assert done.returncode == 0, done.stderr
        assert done.stderr == stderr
        return done

    return run  # type: ignore[return-value]
