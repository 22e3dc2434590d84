"""Runs one program twice, side by side, without and with the agent, and tells in what the two differ (TST-5)."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.differential.normal import PREFIX, normal, without_ours
from tests.differential.program import Program
from tests.environments import ROOT, start_program
from tests.servers import Broker, wait_for
from tests.servers.topics import Record

FIRST_CONTACT = 0.5  # seconds that the agent may wait for a cluster's metadata, once, unless it is given more
PATIENT = 4.0  # what it is given here: a busy machine must not decide whether the recommendation arrives in time
NOISE = 3.0  # seconds by which two runs of one program may differ on a busy machine
CODEC = "zstd"  # what is recommended for the topic that is written with the agent

STARTED = "Superstream Agent initialized with environment variables"
OPTIMISED = f"-> {CODEC}"  # of the line that says what was changed


@dataclass(frozen=True)
class Arm:
    """How the program is started: by which interpreter, with which variables."""

    python: Path
    env: Mapping[str, str]


@dataclass
class Run:
    """One run of the program, under way or ended."""

    process: subprocess.Popen[str]
    topic: str
    started: float
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)
    seconds: float = 0.0

    def says(self, line: str) -> bool:
        """Whether the program has printed this line, or ended."""
        return f"{line}\n" in self.stdout or self.process.poll() is not None


@dataclass(frozen=True)
class Outcome:
    """What a program has shown."""

    stdout: str
    stderr: str
    status: int
    seconds: float
    records: list[Record]
    ours: list[str]

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.ours if "WARNING" in line]


@dataclass(frozen=True)
class Pair:
    """The two outcomes, and in what they differ."""

    program: Program
    bare: Outcome
    agent: Outcome
    chance: re.Pattern[bytes] | None = None

    def differences(self) -> list[str]:
        """One sentence for each; none where the program could not tell that there was an agent."""
        bare, agent = self.bare, self.agent
        found = [
            f"{what} differs:\n{_changes(str(one), str(other))}"
            for what, one, other in (
                ("stdout", bare.stdout, agent.stdout),
                ("stderr", bare.stderr, agent.stderr),
                ("exit status", bare.status, agent.status),
            )
            if one != other and not (what == "stderr" and self.program.stderr == "chance")
        ]
        return found + self._records() + self._agent() + self._time()

    def _records(self) -> list[str]:
        one, other = (_comparable(run.records, self.program, self.chance) for run in (self.bare, self.agent))
        missing, added = one - other, other - one
        found = []
        if missing:
            found.append(f"{missing.total()} of {one.total()} records are missing, for instance {_few(missing)}")
        if added and self.program.records == "equal":
            found.append(f"{added.total()} records more than the {one.total()}, for instance {_few(added)}")
        if not missing and not added:
            orders = [_order(run.records) for run in (self.bare, self.agent)]
            found += [f"the order of key {key!r} differs" for key in orders[0] if orders[0][key] != orders[1][key]]
        return found

    def _agent(self) -> list[str]:
        found = [f"the agent spoke without being there: {self.bare.ours}"] if self.bare.ours else []
        if self.program.agent != "silent" and not any(STARTED in line for line in self.agent.ours):
            found.append(f"the agent was not there: {self.agent.ours}")
        if self.program.agent == "active" and not any(OPTIMISED in line for line in self.agent.ours):
            found.append(f"the producer was not optimised: {self.agent.ours}")
        if not self.program.ours and PREFIX in self.agent.stdout:
            found.append("the agent wrote to stdout")
        if len(self.agent.warnings) > self.program.warnings:
            found.append(f"more warnings than {self.program.warnings}: {self.agent.warnings}")
        twice = [line for line, times in Counter(self.agent.warnings).items() if times > 1]
        return found + [f"said more than once: {line}" for line in twice]

    def _time(self) -> list[str]:
        longer = self.agent.seconds - self.bare.seconds
        return [f"it took {longer:.1f} s longer with the agent"] if longer > PATIENT + NOISE else []


def arms(python: Path | None = None, bare: Path | None = None) -> tuple[Arm, Arm]:
    """Without and with the agent: by default this checkout on PYTHONPATH, else environments with(out) the wheel."""
    if python is not None:
        return Arm(bare or python, {"SUPERSTREAM_DISABLED": "true"} if bare is None else {}), Arm(python, {})
    here = Path(sys.executable)
    return (
        Arm(here, {"SUPERSTREAM_DISABLED": "true", "PYTHONPATH": str(ROOT)}),
        Arm(here, {"PYTHONPATH": str(ROOT)}),
    )


def compare(
    program: Program,
    broker: Broker,
    topics: tuple[str, str],
    between: Callable[[Sequence[Run]], None] | None = None,
    *,
    bootstrap: str = "",
    both: tuple[Arm, Arm] | None = None,
    env: Mapping[str, str] | None = None,
    args: Sequence[str] = (),
    chance: re.Pattern[bytes] | None = None,
    timeout: float = 40.0,
) -> Pair:
    """Runs both arms at the same time, each on its own topic, and reads what became of the records.

    `between` is called with the two runs once both have printed "ready"; the programs then wait for a line on stdin.
    What matches `chance` in a header's value differs between any two runs.
    """
    with contextlib.ExitStack() as stack:
        runs = [
            stack.enter_context(_started(program, arm, bootstrap or broker.bootstrap, topic, env or {}, args))
            for arm, topic in zip(both or arms(), topics, strict=True)
        ]
        if between is not None or program.signal:
            wait_for(lambda: all(run.says("ready") for run in runs), lambda: f"both are ready: {runs}", timeout)
            (between or _signalling(program, timeout))(runs)
        for run in runs:
            _finish(run, time.monotonic() + timeout)
        outcomes = [_outcome(program, run, broker, bootstrap or broker.bootstrap) for run in runs]
        if broker.alive and len(outcomes[0].records) != len(outcomes[1].records):
            # What is in the log stays there: a difference that goes away was the reader's, one that stays is real.
            for run, outcome in zip(runs, outcomes, strict=True):
                outcome.records[:] = broker.records(run.topic)
    return Pair(program, outcomes[0], outcomes[1], chance)


def proceed(runs: Sequence[Run]) -> None:
    """Lets both programs go on: one line on their stdin."""
    for run in runs:
        if run.process.poll() is None and run.process.stdin is not None:
            run.process.stdin.write("\n")
            run.process.stdin.flush()


def _signalling(program: Program, timeout: float) -> Callable[[Sequence[Run]], None]:
    def send(runs: Sequence[Run]) -> None:
        for run in runs:
            wait_for(_at_rest(run), f"{program.name} waits", timeout)
            if run.process.poll() is None:
                os.kill(run.process.pid, signal.Signals[program.signal])

    return send


def _at_rest(run: Run) -> Callable[[], bool]:
    """Whether the main thread has slept for 50 ms, or ended: else the signal finds it still printing."""
    seen = ("", 0.0)

    def rests() -> bool:
        nonlocal seen
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{run.process.pid}/status").read_text()
            now = "".join(line for line in status.splitlines() if line.startswith(("State", "voluntary")))
            if now != seen[0] or "sleeping" not in now:
                seen = (now, time.monotonic())
            return run.process.poll() is not None or time.monotonic() - seen[1] >= 0.05
        return True

    return rests


@contextlib.contextmanager
def _started(
    program: Program, arm: Arm, bootstrap: str, topic: str, env: Mapping[str, str], args: Sequence[str]
) -> Iterator[Run]:
    python, options = arm.python, program.options
    if program.shell:
        options = ("-c", program.shell, "sh", str(python), *options)
        python = Path("/bin/sh")
    # The faults take the default of 500 ms.
    ours = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": f"{PATIENT * 1000:.0f}"}
    variables = {**ours, **arm.env, "COLUMNS": "100", **program.env, **env}
    with start_program(python, program.path, bootstrap, topic, *args, env=variables, options=options) as process:
        run = Run(process, topic, time.monotonic())
        for stream, lines in ((process.stdout, run.stdout), (process.stderr, run.stderr)):
            assert stream is not None
            reader = threading.Thread(target=_read, args=(stream, lines), daemon=True)
            reader.start()
            run.readers.append(reader)
        threading.Thread(target=_time, args=(run,), daemon=True).start()
        yield run


def _time(run: Run) -> None:
    run.process.wait()
    run.seconds = time.monotonic() - run.started


def _read(stream: Iterator[str], lines: list[str]) -> None:
    for line in stream:
        lines.append(line)


def _finish(run: Run, deadline: float) -> None:
    for reader in run.readers:
        reader.join(max(0.0, deadline - time.monotonic()))
    try:
        run.process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        said = f"stdout: {''.join(run.stdout)}\nstderr: {''.join(run.stderr)}"
        raise TimeoutError(f"the program did not end in time\n{said}") from None
    wait_for(lambda: run.seconds, "the end was noticed")


def _outcome(program: Program, run: Run, broker: Broker, bootstrap: str) -> Outcome:
    names = {run.topic: "TOPIC", bootstrap: "BROKER", broker.bootstrap: "BROKER", str(run.process.pid): "PID"}
    names |= {address.rpartition(":")[2]: "PORT" for address in (bootstrap, broker.bootstrap) if ":" in address}
    stderr, ours = without_ours("".join(run.stderr), program.ours)
    stdout, ours_on_stdout = without_ours("".join(run.stdout), program.ours) if program.ours else (run.stdout, [])
    records = broker.records(run.topic) if broker.alive else []
    return Outcome(
        stdout=normal("".join(stdout), names),
        stderr=normal(stderr, names),
        status=run.process.returncode,
        seconds=run.seconds,
        records=records,
        ours=ours + ours_on_stdout,
    )


def _changes(one: str, other: str) -> str:
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), "without the agent", "with the agent", "", "", 2)
    return "\n".join(line.rstrip("\n")[:500] for line in list(lines)[:60])


def _comparable(
    records: Sequence[Record], program: Program, chance: re.Pattern[bytes] | None
) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for record in records:
        told = record.key is not None or "partitions" in program.compare
        partition = record.partition if told else None
        moment = record.timestamp if "timestamps" in program.compare else None
        headers = record.headers
        if chance is not None:
            headers = tuple((name, chance.sub(b"CHANCE", value or b"")) for name, value in headers)
        found[(record.key, record.value, headers, partition, moment)] += 1
    return found


def _order(records: Sequence[Record]) -> dict[bytes | None, list[bytes | None]]:
    keyed: dict[bytes | None, list[bytes | None]] = defaultdict(list)
    for record in records:
        if record.key is not None:
            keyed[record.key].append(record.value)
    return keyed


def _few(records: Counter[tuple[object, ...]]) -> str:
    return re.sub(r"(.{300}).*", r"\1…", repr(list(records)[:3]))
