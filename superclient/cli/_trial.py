"""One run of a sample program, with or without the agent, and what it cost: counted outside of the program."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import superclient
from superclient.cli import run as run_command
from superclient.cli._stage import Stage
from superclient.cli._wire import Wire
from superclient.errors import SuperclientError

_SECONDS = 60
_PROGRAMS = Path(superclient.__file__).parent / "cli" / "_programs"


class TrialFailed(SuperclientError):
    """A sample program did not do its work; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took.

    Attributes:
        bytes: of the program's produce requests on the wire.
        requests: their number.
        records: that the brokers have of it.
        awaited_ms: the median of its awaited sends.
        agent_bytes: of everything that the agent sent itself, over its own connections.
    """

    bytes: int
    requests: int
    records: int
    awaited_ms: float
    agent_bytes: int

    @property
    def records_per_request(self) -> float:
        return self.records / max(1, self.requests)

    def document(self) -> dict[str, float]:
        """The figures as JSON has them."""
        return {**asdict(self), "records_per_request": round(self.records_per_request, 2)}


def measure(library: str, stage: Stage, wire: Wire, topic: str, *, records: int, awaited: int, agent: bool) -> Cost:
    """Run the library's program once.

    Raises:
        TrialFailed: it ended with an error, did not end, or records are missing.
    """
    before = stage.records(topic)
    wire.reset()
    program = _PROGRAMS / f"with_{library.replace('-', '_')}.py"
    command = [sys.executable, str(program), wire.bootstrap, topic, str(records), str(awaited)]
    waits: list[float] = json.loads(_output(library, command, _environment(topic, agent)))
    tally = wire.reset()
    arrived = stage.records(topic) - before
    if arrived != records + awaited:
        raise TrialFailed(f"{library}: of {records + awaited} records {arrived} arrived")
    return Cost(tally.bytes, tally.requests, arrived, round(statistics.median(waits) * 1000, 3), tally.agent_bytes)


def _environment(topic: str, agent: bool) -> Mapping[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SUPERSTREAM_")}
    if not agent:
        return {**environ, "SUPERSTREAM_DISABLED": "true"}
    return run_command.environment({**environ, "SUPERSTREAM_TOPICS_LIST": topic})


def _output(library: str, command: list[str], environ: Mapping[str, str]) -> str:
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(environ))
    try:
        said, complained = child.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise TrialFailed(f"the {library} program did not end within {_SECONDS} s") from None
    finally:  # also when somebody presses Ctrl-C
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode != 0:
        last = (complained.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
        raise TrialFailed(f"the {library} program failed: {last}")
    return said
