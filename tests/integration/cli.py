"""Runs `superclient` commands as a person would: a process of the real, installed package."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.environments import clean_environment, environment

EVERYTHING = ("confluent-kafka", "kafka-python", "aiokafka", "python-snappy", "lz4", "zstandard", "cramjam", "crc32c")


@functools.cache
def full_python() -> Path:
    """An environment with the project's wheel, all three libraries and their codecs."""
    return environment(packages=[*EVERYTHING, "rich"])


def superclient(
    *arguments: str, python: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    command = [str((python or full_python()).with_name("superclient")), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(env), timeout=timeout, cwd=os.path.sep
    )


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """What `--json` printed."""
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"no JSON:\n{done.stdout}\n{done.stderr}") from None
