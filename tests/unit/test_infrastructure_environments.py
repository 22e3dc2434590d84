"""The environments and the clean subprocesses in which the tests run programs."""

from __future__ import annotations

import pytest

from tests.environments import PYTHONS, environment, find_interpreter, run_program, start_program


def test_an_environment_holds_what_was_asked_for():
    """A pinned package is installed in its version, and nothing of the test process's own environment is seen."""
    python = environment(packages=["kafka-python==2.0.6"], superclient=False)
    done = run_program(python, "import kafka, sys; print(kafka.__version__, sys.flags.isolated)")
    assert (done.stdout, done.stderr, done.returncode) == ("2.0.6 0\n", "", 0)
    missing = run_program(python, "import pytest")
    assert "ModuleNotFoundError" in missing.stderr
    assert missing.returncode == 1
    assert environment(packages=["kafka-python==2.0.6"], superclient=False) == python


@pytest.mark.parametrize("version", PYTHONS)
def test_every_supported_python_is_found_where_it_is_installed(version: str):
    """Interpreters are found by their version, never by a path that only one machine has."""
    if find_interpreter(version) is None:
        pytest.skip(f"CPython {version} is not installed")
    done = run_program(environment(version, superclient=False), "import sys; print('%d.%d' % sys.version_info[:2])")
    assert done.stdout.strip() == version


def test_the_wheel_is_really_installed():
    """The package is imported from the environment, not from the tree."""
    python = environment()
    done = run_program(python, "import superclient; print(superclient.__file__)", env={"SUPERSTREAM_DISABLED": "true"})
    assert str(python.parent.parent) in done.stdout, done.stderr


def test_a_program_sees_a_clean_environment(monkeypatch: pytest.MonkeyPatch):
    """Variables of the test process stay out; those asked for come in."""
    monkeypatch.setenv("SUPERSTREAM_DEBUG", "true")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    source = "import os; print(sorted(k for k in os.environ if k[:6] in ('SUPERS', 'PYTEST') or k == 'PYTHONPATH'))"
    done = run_program(environment(superclient=False), source, env={"SUPERSTREAM_TOPICS_LIST": "a"})
    assert done.stdout.strip() == "['SUPERSTREAM_TOPICS_LIST']"


def test_a_program_that_hangs_is_ended_and_shown():
    """A time-out ends the whole process group and shows what was said so far."""
    source = "import time; print('so far', flush=True); time.sleep(600)"
    with pytest.raises(TimeoutError, match="so far"):
        run_program(environment(superclient=False), source, timeout=1)


def test_a_started_program_ends_with_its_block():
    """A program runs beside the test and is gone afterwards."""
    with start_program(
        environment(superclient=False), "print(input(), flush=True); import time; time.sleep(600)"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == "hello\n"
    assert process.returncode == -9
