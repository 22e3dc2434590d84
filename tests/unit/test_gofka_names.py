"""The Gofka client's public names: in one place, typed, loaded when they are used, of the standard library alone."""

from __future__ import annotations

import builtins
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import superclient.gofka
from superclient.errors import SuperclientError
from tests.environments import environment, run_program

ROOT = Path(__file__).resolve().parents[2]
ERRORS = [name for name in superclient.gofka._PUBLIC if name.endswith("Error")]


@pytest.mark.parametrize("name", sorted(superclient.gofka._PUBLIC))
def test_each_name_is_there(name: str) -> None:
    """Every class and error of the specification, under its own name, told by dir()."""
    value = getattr(superclient.gofka, name)
    assert value.__name__ == name
    assert name in dir(superclient.gofka)
    assert (value.__doc__ or "").strip()


def test_the_error_tree() -> None:
    """GOF-33: one root; what the built-in errors mean, ours are too."""
    tree = {name: getattr(superclient.gofka, name) for name in ERRORS}
    assert all(issubclass(error, superclient.gofka.GofkaError) for error in tree.values())
    assert issubclass(superclient.gofka.GofkaError, SuperclientError)
    assert issubclass(tree["ConnectionError"], builtins.ConnectionError)
    assert issubclass(tree["RequestTimeoutError"], (tree["ConnectionError"], builtins.TimeoutError))
    assert issubclass(tree["ProduceTimeoutError"], (tree["ProduceError"], tree["ConnectionError"]))
    assert issubclass(tree["OffsetError"], tree["ConsumeError"])
    for name in ("ProduceError", "ConsumeError", "OffsetError", "GroupCoordinationError", "MetadataError", "WireError"):
        assert not issubclass(tree[name], OSError)


def test_bad_names_are_errors_of_the_tree() -> None:
    """GOF-33: ValueErrors, as wrong arguments are, and GofkaErrors, as the specification has it for path characters."""
    with pytest.raises(superclient.gofka.TopicNameError) as topic:
        superclient.gofka.AsyncConsumer("localhost:9092", "group", ["../other"])
    assert isinstance(topic.value, superclient.gofka.MetadataError)
    assert isinstance(topic.value, ValueError)
    with pytest.raises(superclient.gofka.GroupNameError) as group:
        superclient.gofka.AsyncConsumer("localhost:9092", "../group", ["other"])
    assert isinstance(group.value, superclient.gofka.GroupCoordinationError)
    assert isinstance(group.value, ValueError)


@pytest.mark.parametrize("name", ["Producer", "Consumer", "AdminClient"])
def test_both_faces_are_alike(name: str) -> None:
    """GOF-28: the sync face has the same arguments and methods, told to `help` and to editors."""
    sync, other = getattr(superclient.gofka, name), getattr(superclient.gofka, f"Async{name}")
    assert str(inspect.signature(sync)) == str(inspect.signature(other))
    methods = {each for each in vars(other) if not each.startswith("_")}
    assert methods <= {each for each in dir(sync) if not each.startswith("_")}
    for each in methods:
        if inspect.iscoroutinefunction(getattr(other, each)):
            told, meant = (list(inspect.signature(getattr(one, each)).parameters) for one in (sync, other))
            assert told == meant, each


def test_the_public_names_are_typed() -> None:
    """The client as a user's type checker sees it."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "tests/typing/gofka.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert done.stdout == "", done.stdout + done.stderr


def test_the_standard_library_is_enough() -> None:
    """GOF-31: every module imports where nothing else is installed, and the package itself imports none of them."""
    source = """
    import sys
    before = set(sys.modules)
    import superclient.gofka
    print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] != "superclient"))
    import asyncio, importlib, pkgutil
    for module in pkgutil.iter_modules(superclient.gofka.__path__, "superclient.gofka."):
        importlib.import_module(module.name)
    known = {*sys.stdlib_module_names, "superclient", "__main__", "__mp_main__"}
    print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] not in known))
    """
    ran = run_program(environment(), source, env={"SUPERSTREAM_DISABLED": "true"})
    assert ran.stdout.split() == ["[]", "[]"], ran.stdout + ran.stderr
