"""What `superclient lag` sees: the queues of one group's topics, look by look, as values, JSON and tables.

The judgement is that of the producers, `superclient.partitioning`; nothing here decides anything.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from superclient.kafka.connection import Offsets, OffsetsReader
from superclient.partitioning import LagState, Rules, View, collectors

HEALTHY, LAGGING, RECOVERING, NO_LEADER = "healthy", "lagging", "recovering", "no leader"
_COLOURS = {HEALTHY: "green", LAGGING: "red", RECOVERING: "yellow", NO_LEADER: "magenta"}


class Row(NamedTuple):
    """One partition; None is unknown.

    Offsets and lag are in records, `wait` is the seconds that a new record would wait, `score` is 0 to 1, `share` is of
    the records without keys.
    """

    partition: int
    committed: int | None
    end: int | None
    lag: int | None
    wait: float | None
    score: float | None
    share: float
    state: str


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic at one moment; `gone` where the cluster does not have it any more: then the rows are the last ones."""

    name: str
    rows: Sequence[Row]
    gone: bool = False

    @property
    def lags(self) -> list[int]:
        """The lags that are known, in records."""
        return [row.lag for row in self.rows if row.lag is not None]

    @property
    def uncommitted(self) -> list[int]:
        """The partitions, of those with a leader, in which the group has committed nothing."""
        return [row.partition for row in self.rows if row.end is not None and row.committed is None]

    def document(self) -> dict[str, Any]:
        """The topic as JSON has it."""
        lag = {"total": sum(self.lags), "max": max(self.lags, default=0), "median": statistics.median(self.lags or [0])}
        rows = [
            {name: round(value, 4) if isinstance(value, float) else value for name, value in row._asdict().items()}
            for row in self.rows
        ]
        return {"lag": lag, "uncommitted": self.uncommitted, "partitions": rows}


@dataclass(frozen=True, slots=True)
class Look:
    """All topics at one moment (time.monotonic()), in the order asked for; `missing` were never on the cluster."""

    at: float
    topics: Sequence[Topic]
    missing: Sequence[str]


class Watch:
    """Looks at the same topics again and again, as one producer would: what was seen before counts (see LagState)."""

    def __init__(
        self,
        reader: OffsetsReader,
        group: str,
        topics: Sequence[str],
        reset: str = collectors.EARLIEST,
        rules: Rules | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reset` says where a group that has committed nothing would start, see collectors.queues."""
        self._reader, self._group, self._names, self._reset, self._clock = reader, group, topics, reset, clock
        self._state = LagState(rules)
        self._last: dict[str, Topic] = {}

    def look(self, timeout: float) -> Look:
        """Read and judge, within `timeout` seconds.

        Raises:
            ClusterError: nothing could be read, or not of this group.
        """
        offsets = self._reader.read({self._group: self._names}, timeout)
        if self._group in offsets.refused:
            raise offsets.refused[self._group]
        now = self._clock()
        missing = []
        for name in self._names:
            if offsets.ends.get(name):
                self._last[name] = self._topic(name, offsets, now)
                continue
            self._state.forget(name)
            if name in self._last:
                self._last[name] = Topic(name, self._last[name].rows, gone=True)
            else:
                missing.append(name)
        return Look(now, [self._last[name] for name in self._names if name in self._last], missing)

    def _topic(self, name: str, offsets: Offsets, now: float) -> Topic:
        view = self._state.update(name, collectors.queues(offsets, self._group, name, self._reset), now)
        ends, committed = offsets.ends[name], offsets.committed.get(self._group, {}).get(name, {})
        given = shares(view)

        def row(p: int) -> Row:
            seen = view.lags.get(p), view.delays.get(p), view.scores.get(p)
            return Row(p, committed.get(p), ends.get(p), *seen, given.get(p, 0.0), _state(view, p))

        # Partitions are numbered from 0 on without a gap, and none is ever taken away.
        known = range(max([*ends, *committed, *(one.partition for one in self._rows_before(name))]) + 1)
        return Topic(name, [row(p) for p in known])

    def _rows_before(self, name: str) -> Sequence[Row]:
        return self._last[name].rows if name in self._last and not self._last[name].gone else ()


def shares(view: View) -> dict[int, float]:
    """Partition → its share of all, adding up to 1; with nothing healthy all are alike, as for `LagAware`."""
    weights: Mapping[int, float] = view.weights if view.healthy else dict.fromkeys(view.lags, 1.0)
    whole = sum(weights.values())
    return {partition: weight / whole for partition, weight in weights.items()}


def _state(view: View, partition: int) -> str:
    if partition not in view.lags:
        return NO_LEADER
    if partition not in view.healthy:
        return LAGGING
    return RECOVERING if partition in view.excess or partition in view.trial else HEALTHY


def table(topic: Topic, group: str, most: int | None = None) -> Table:
    """The topic on a screen; of more than `most` partitions only those with the longest queues."""
    shown = topic.rows
    if most is not None and len(shown) > most:
        worst = sorted(shown, key=lambda row: -1 if row.lag is None else row.lag, reverse=True)[:most]
        shown = sorted(worst, key=lambda row: row.partition)
    made = Table(title=_title(topic, group, len(shown)), title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    for heading in ("partition", "committed", "end", "lag", "wait", "score", "share"):
        made.add_column(heading, justify="right")
    made.add_column("state")
    for row in shown:
        cells = [str(row.partition), *(_number(value) for value in (row.committed, row.end, row.lag))]
        cells += ["–" if row.wait is None else _duration(row.wait)]
        cells += ["–" if row.score is None else f"{row.score:.2f}", f"{row.share:.1%}"]
        style = "dim" if topic.gone else _COLOURS[row.state]
        made.add_row(*cells, Text(row.state, style))
    return made


def _title(topic: Topic, group: str, shown: int) -> Text:
    number = len(topic.rows)
    parts = [f"{topic.name}, group {group}: {number} partition{'s' * (number != 1)}"]
    if shown < number:
        parts.append(f"the {shown} longest queues of {number} shown")
    if topic.lags:
        parts.append(f"lag {sum(topic.lags):,}, largest {max(topic.lags):,}")
    return Text(", ".join(parts))


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"


def notes(topic: Topic, group: str, reset: str) -> list[str]:
    """What there is to know about a topic's figures, a line each."""
    found = []
    if topic.gone:
        found.append(f"{topic.name} is not on the cluster any more: these are its last figures")
    elif topic.uncommitted:
        where = "the log start" if reset == collectors.EARLIEST else "the log end"
        few = ", ".join(map(str, topic.uncommitted[:8])) + ("…" if len(topic.uncommitted) > 8 else "")
        every = len(topic.uncommitted) == len([row for row in topic.rows if row.end is not None])
        place = f"for {topic.name} (is its name right?)" if every else f"in partition {few} of {topic.name}"
        found.append(f"group {group} has committed nothing {place}: measured from {where}")
    if topic.lags and not topic.gone and not any(row.state in (HEALTHY, RECOVERING) for row in topic.rows):
        found.append(f"no partition of {topic.name} is healthy: producers treat them all alike")
    return found
