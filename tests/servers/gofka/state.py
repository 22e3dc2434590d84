"""What the broker double knows, without bytes or sockets: topics, messages, the log files as far as they show, commits.

The real broker keeps a message twice: in a store that consensus replicates (which Fetch asks first) and in a local log
file (which Fetch asks next, and whose end is what an "out of range" text tells). Most of its surprises are the two
disagreeing: on a follower the file is empty, after a fail-over it is behind, after a restart it cannot be opened.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.servers.gofka.errors import Refused
from tests.servers.gofka.groups import Groups

T = TypeVar("T")

LOG_FOLDER = "data/log"
"""Where the recorded broker kept its files; its error texts tell."""
_LONGEST_FILE_NAME = 255
_NOT_LEADER = "failed to replicate message through consensus: node is not the leader"
_POISON = 'failed to parse base offset from segment file name: strconv.ParseInt: parsing "data": invalid syntax'


@dataclass
class Options:
    """How the broker is to be; times in the broker's own seconds, of which `clock` pass in one.

    node, advertised: its name and the address that Metadata tells ("" : where it listens).
    leader_after_s: how long after a start it is "not the leader" (about 2 s on a real one); follower: for good.
    old_framing: replies without a size, and no APIs 10, 15, 16, as brokers before 2026 were.
    pieces: each reply comes in random pieces. shuffle: random orders where the real broker has them.
    commit_s: (real) seconds that a Produce takes; rate: Produce requests in a (real) second, all connections together.
    overwrites: a Produce over another connection than the last one to its topic, while that one is open, takes the
        last one's offset. (On a real broker it does so when the two meet; with `commit_s` it does here.)
    segment_bytes: what a log file holds before the next begins, which moves the base in "out of range" texts.
    """

    node: str = "b1"
    advertised: str = ""
    clock: float = 1.0
    leader_after_s: float = 0.0
    follower: bool = False
    old_framing: bool = False
    pieces: bool = False
    shuffle: bool = True
    commit_s: float = 0.0
    rate: float | None = None
    overwrites: bool = False
    segment_bytes: int = 10 * 2**20
    expiry_tick_s: float = 3.0
    rebalance_timeout_s: float = 60.0
    io_timeout_s: float = 30.0


class Messages:
    """The replicated messages of one topic: offset → bytes, with gaps only where names collide."""

    def __init__(self) -> None:
        self.by_offset: dict[int, bytes] = {}
        self.next = 0

    def put(self, offset: int, value: bytes) -> None:
        self.by_offset[offset] = value
        self.next = max(self.next, offset + 1)


class LocalLog:
    """The file of one directory: everything that was ever appended, also what another producer overwrote elsewhere."""

    def __init__(self, segment_bytes: int) -> None:
        self._segment_bytes = segment_bytes
        self._size = 0
        self._base = 0
        self.values: list[bytes] = []
        self.hint: tuple[int, int] | None = None
        """What it says of itself, in place of what it holds."""

    def append(self, value: bytes) -> None:
        if self._size >= self._segment_bytes:
            self._base, self._size = len(self.values), 0
        self.values.append(value)
        self._size += 4 + len(value)

    def read(self, offset: int) -> bytes:
        if offset < 0:
            raise Refused(f"offset {offset} not found in any segment")
        if self.hint is None and offset < len(self.values):
            return self.values[offset]
        base, end = self.hint or (self._base, len(self.values))
        raise Refused(f"offset {offset} out of range [{base}, {end})")


@dataclass
class State:
    """One broker. `messages` is what consensus replicates: brokers of one cluster share it, and nothing else."""

    options: Options
    messages: dict[str, Messages] = field(default_factory=dict)
    topics: dict[str, int] = field(default_factory=dict)
    logs: dict[str, LocalLog] = field(default_factory=dict)
    poisoned: set[str] = field(default_factory=set)
    offsets: dict[tuple[str, str, int], int] = field(default_factory=dict)
    skipped_s: float = 0.0
    """What `advance` has added to the clock."""

    def __post_init__(self) -> None:
        self._random = random.Random(0)
        self._last_write: dict[str, tuple[Any, int]] = {}
        self.groups = Groups(self)
        self.started = self.now()

    def now(self) -> float:
        """The broker's own time in seconds."""
        return time.monotonic() * self.options.clock + self.skipped_s

    def ordered(self, items: Iterable[T]) -> list[T]:
        """In no order that anybody may rely on."""
        shuffled = list(items)
        if self.options.shuffle:
            self._random.shuffle(shuffled)
        return shuffled

    @property
    def leads(self) -> bool:
        return not self.options.follower and self.now() >= self.started + self.options.leader_after_s

    def create_topic(self, name: str, partitions: int) -> None:
        """Without a look at what is there already: the number of partitions is replaced."""
        self.topics[name] = max(partitions, 1)
        for partition in range(self.topics[name]):
            try:
                self._log(name, partition)
            except Refused as error:
                raise Refused(f"failed to create log for topic {name} partition {partition}: {error}") from None

    def begin_produce(self, topic: str, writer: Any = None) -> int:
        """The offset that the message is going to have; until it has it, another connection may be told the same."""
        self.topics.setdefault(topic, 1)
        last, offset = self._last_write.get(topic, (None, 0))
        if self.options.overwrites and last is not None and last is not writer and last.open:
            return offset
        messages = self._messages(topic, 0)
        return 0 if messages is None else messages.next

    def finish_produce(self, topic: str, offset: int, value: bytes, writer: Any = None) -> None:
        """Stores it; Refused afterwards where only the log file fails."""
        if not self.leads:
            raise Refused(_NOT_LEADER)
        self.messages.setdefault(f"{topic}-0", Messages()).put(offset, value)
        if writer is not None:
            self._last_write[topic] = (writer, offset)
        try:
            self._log(topic, 0).append(value)
        except Refused as error:
            raise Refused(f"failed to get or create log: {error}") from None

    def produce(self, topic: str, value: bytes) -> int:
        """Both steps at once, by nobody in particular."""
        offset = self.begin_produce(topic)
        self.finish_produce(topic, offset, value)
        return offset

    def fetch(self, topic: str, partition: int, offset: int) -> bytes:
        """One message; asking makes the directory where there is none."""
        messages = self._messages(topic, partition)
        if messages is not None and offset in messages.by_offset:
            return messages.by_offset[offset]
        try:
            log = self._log(topic, partition)
        except Refused as error:
            raise Refused(f"failed to get or create log: {error}") from None
        return log.read(offset)

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        self.offsets[group, topic, partition] = offset
        trouble = _file_name_trouble(group)
        if trouble:
            raise Refused(f"failed to create group directory: mkdir {LOG_FOLDER}/offsets/{group}: {trouble}")

    def poison(self, topic: str) -> None:
        """From now on the topic's log file cannot be opened."""
        self.logs.pop(topic, None)
        self.poisoned.add(topic)

    def hint(self, topic: str, base: int, end: int) -> None:
        """Makes "out of range [base, end)" the answer at the end of a topic, whatever it really has."""
        self._log(topic, 0).hint = (base, end)

    def folders(self) -> set[str]:
        """The directories that the topics of Metadata have."""
        every = ((topic, partition) for topic, count in self.topics.items() for partition in range(count))
        return {topic if partition == 0 else f"{topic}-{partition}" for topic, partition in every}

    def restart(self, *, poison: bool, keep_messages: bool, keep_groups: bool) -> None:
        """What a start from the same folder finds."""
        if poison:
            self.poisoned |= {folder for folder, log in self.logs.items() if log.values}
        self.logs.clear()
        self._last_write.clear()
        if not keep_messages:
            self.messages.clear()
            self.topics.clear()
        self.groups.restart(keep=keep_groups)
        self.started = self.now()

    def _messages(self, topic: str, partition: int) -> Messages | None:
        """By the broker's own keys: those of topic "X-0" are, until it has some, the ones of X."""
        found = self.messages.get(f"{topic}-{partition}")
        return self.messages.get(topic) if found is None and partition == 0 else found

    def _log(self, topic: str, partition: int) -> LocalLog:
        """By its directory, which partition 1 of X shares with partition 0 of "X-1"."""
        folder = topic if partition == 0 else f"{topic}-{partition}"
        log = self.logs.get(folder)
        if log is None:
            trouble = _file_name_trouble(folder)
            if trouble:
                raise Refused(
                    f"failed to create new log: failed to create log directory: mkdir {LOG_FOLDER}/{folder}: {trouble}"
                )
            if folder in self.poisoned:
                raise Refused(f"failed to create new log: {_POISON}")
            log = self.logs[folder] = LocalLog(self.options.segment_bytes)
        return log


def _file_name_trouble(name: str) -> str:
    if "\0" in name:
        return "invalid argument"
    longest = max(len(part.encode(errors="surrogateescape")) for part in name.split("/"))
    return "file name too long" if longest > _LONGEST_FILE_NAME else ""
