"""The commands that do everything on a fresh machine: TST-2, TST-3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("test", ["install_servers.py", "pytest", "not matrix_full and not soak"]),
        ("unit", ["pytest", "tests/unit"]),
        ("matrix", ["matrix_full"]),
        ("demo", ["superclient demo"]),
        ("lint", ["ruff check", "mypy --strict", "lint-imports"]),
        ("bench", ["benchmarks"]),
        ("docs", ["mkdocs build --strict"]),
    ],
)
def test_each_layer_has_its_command(target: str, parts: list[str]) -> None:
    """TST-2: the layers are make targets; `make test` installs the servers before it runs the suite."""
    planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    places = [planned.find(part) for part in parts]
    assert -1 not in places, planned
    assert places == sorted(places)


def test_installing_servers_again_costs_nothing() -> None:
    """TST-2: what is there is not downloaded again, and downloads stay outside the tracked files."""
    script = [sys.executable, str(ROOT / "scripts" / "install_servers.py")]
    ran = subprocess.run(script, capture_output=True, text=True, check=True, timeout=60)
    assert "download" not in ran.stderr.lower()
    ignored = subprocess.run(["git", "check-ignore", ".cache/kafka"], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout == ".cache/kafka\n"


def test_ci_calls_the_checks_and_the_tests() -> None:
    """TST-3: CI runs lint and tests, and a missing server is a failure there."""
    text = (ROOT / ".ci" / "run").read_text()
    assert "make lint" in text
    assert "make test" in text
    assert "CI=true" in text
