"""The public names of messaging: in one place, typed, loaded when they are used, and clear about what they need."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import superclient.messaging
from tests.environments import environment, run_program
from tests.servers.fixtures import missing_server

ROOT = Path(__file__).resolve().parents[2]
TYPED = "tests/typing/messaging.py"
NAMES = {
    "AutoCommit",
    "KafkaListener",
    "KafkaRPC",
    "KafkaRPCServer",
    "ListenerStats",
    "MessagingError",
    "MessagingStoppedError",
    "ParserSpec",
    "RPCError",
    "RPCStats",
    "ServerStats",
    "TypeStream",
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_is_there(name: str) -> None:
    """SDM-1, SDM-16, SDM-30: every class and error, under its own name, told by dir(); no others are public."""
    assert set(superclient.messaging._PUBLIC) == NAMES
    value = getattr(superclient.messaging, name)
    assert value.__name__ == name
    assert name in dir(superclient.messaging)


def test_mypy_infers_the_types() -> None:
    """Issue: mypy infers TypeStream[Order], and finds every mistake that the file marks."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", TYPED]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert done.stdout == "", done.stdout + done.stderr


def test_pyright_infers_the_types(tmp_path: Path) -> None:
    """Issue: so does pyright. Its wheels have all it needs; no newer version is looked for."""
    if importlib.util.find_spec("pyright") is None:
        missing_server("pyright is missing: `make install` gets it")
    project = tmp_path / "pyrightconfig.json"
    settings = {
        "include": [os.path.relpath(ROOT / TYPED, tmp_path)],
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.10",
    }
    # mypy's marks are mypy's, and a mark that is not needed is an error.
    marks = {"enableTypeIgnoreComments": False, "reportUnnecessaryTypeIgnoreComment": True}
    project.write_text(json.dumps({**settings, **marks}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project)]
    env = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=110)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    said = json.loads(done.stdout)
    found = [f"{one['range']['start']['line'] + 1}: {one['message']}" for one in said["generalDiagnostics"]]
    assert found == []
    assert said["summary"]["filesAnalyzed"] == 1


def test_names_are_loaded_when_they_are_used() -> None:
    """What only names a type, an error or a spec waits for no Kafka library; a wrong name is an AttributeError."""
    source = """
        import sys
        from superclient.messaging import AutoCommit, MessagingError, ParserSpec

        print([name for name in sys.modules if name.startswith(("aiokafka", "asyncio"))])
        import superclient.messaging
        print(hasattr(superclient.messaging, "KafkaListner"))
        """
    ran = run_program(Path(sys.executable), source, env={"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"})
    assert ran.stdout.split() == ["[]", "False"], ran.stderr


def test_without_the_library_it_says_what_to_install() -> None:
    """One line names the extra."""
    ran = run_program(environment(), "import superclient.messaging")
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last == "ImportError: superclient.messaging needs aiokafka: pip install 'superclient[messaging]'"
