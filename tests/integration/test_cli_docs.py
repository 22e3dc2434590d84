"""The first walk of docs/cli.md, as a reader would type it, on a real broker."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.environments import clean_environment
from tests.integration.cli import full_python
from tests.servers import Broker

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
LINES = re.findall(r"^\$ (.*)$", PAGE.read_text(), re.MULTILINE)


def test_a_first_walk(kafka: Broker, tmp_path: Path):
    """Issue item 3: each line does what it should, status 0, and the records come back."""
    kafka.delete_topics(*{"orders"} & set(kafka.topics()))
    path = f"{full_python().parent}:/usr/bin:/bin"
    said = {}
    for line in LINES:
        ran = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.replace("localhost:9092", kafka.bootstrap)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**clean_environment({}), "PATH": path, "HOME": str(tmp_path)},
        )
        assert (ran.returncode, ran.stderr) == (0, ""), (line, ran.stderr)
        said[line.split()[1 + 4 * line.startswith("seq") + 1]] = ran.stdout
    assert "orders" not in kafka.topics()
    assert '"orders"' in said["list-topics"]
    assert "12.50" in said["batch"]
    assert len(said["batch"].splitlines()) >= 101
