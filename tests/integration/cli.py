"""Runs `superclient` commands as a person would: a process of the real, installed package, or quicker, in this one."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.environments import clean_environment, environment

EVERYTHING = ("confluent-kafka", "kafka-python", "aiokafka", "python-snappy", "lz4", "zstandard", "cramjam", "crc32c")


@functools.cache
def full_python() -> Path:
    """An environment with the project's wheel, all three libraries and their codecs, and what the commands need."""
    return environment(packages=[*EVERYTHING, "rich", "click", "simpleeval", "prometheus-client"])


def superclient(
    *arguments: str, python: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    command = [str((python or full_python()).with_name("superclient")), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(env), timeout=timeout, cwd=os.path.sep
    )


def inside(*arguments: str, home: Path | None = None, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
    """The same in this process: no terminal, and `home` for a home with its configuration file (default: none)."""
    from superclient.cli.app import root

    env = {"HOME": str(home or "/nonexistent"), "NO_COLOR": None, "TERM": "xterm"}
    ran = CliRunner().invoke(root, arguments, input=stdin, env=env, catch_exceptions=False)
    return subprocess.CompletedProcess(arguments, ran.exit_code, ran.stdout, ran.stderr)


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """What `--json` printed."""
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"no JSON:\n{done.stdout}\n{done.stderr}") from None
