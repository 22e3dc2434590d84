"""The toolkit's public names: in one place, typed, loaded when they are used, and clear about what they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import superclient.gofka
import superclient.messaging
import superclient.toolkit
from tests.environments import environment, run_program

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", sorted(superclient.toolkit._PUBLIC))
def test_each_name_is_there(name: str) -> None:
    """KLI-39: every class and error of the specification, under its own name, told by dir()."""
    value = getattr(superclient.toolkit, name)
    assert value.__name__ == name
    assert name in dir(superclient.toolkit)


@pytest.mark.parametrize("package", [superclient.toolkit, superclient.messaging, superclient.gofka])
def test_all_of_them_at_once(package: Any) -> None:
    """`from superclient.toolkit import *` has them too, although none is imported before it is used."""
    found: dict[str, object] = {}
    exec(f"from {package.__name__} import *", found)  # no function may
    assert found.keys() >= set(package._PUBLIC)


def test_the_error_sets_are_the_producers() -> None:
    """KLI-43: filled from the library, disjoint, importable where producing is."""
    from superclient.toolkit import producer

    sets = (producer.RETRIABLE_ERROR_CODES, producer.FATAL_ERROR_CODES, producer.FENCING_ERROR_CODES)
    assert all(len(codes) >= least for codes, least in zip(sets, (20, 20, 3), strict=True))
    assert len(frozenset.union(*sets)) == sum(map(len, sets))


def test_the_public_names_are_typed() -> None:
    """The toolkit as a user's type checker sees it."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "tests/typing/toolkit.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert done.stdout == "", done.stdout + done.stderr


def test_the_configuration_needs_no_librdkafka() -> None:
    """Issue item 4: what only reads the configuration does not wait for a Kafka library."""
    source = (
        "import sys; from superclient.toolkit import ProducerConfig, resolve_env_config;"
        "print([name for name in sys.modules if name.startswith('confluent_kafka')])"
    )
    ran = run_program(Path(sys.executable), source, env={"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"})
    assert ran.stdout.strip() == "[]", ran.stderr


def test_without_the_library_it_says_what_to_install() -> None:
    """One line names the extra."""
    ran = run_program(environment(), "import superclient.toolkit")
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last == "ImportError: superclient.toolkit needs confluent-kafka: pip install 'superclient[toolkit]'"
