"""The conversation of one reading, without I/O: which requests go to whom, and what their answers mean together.

`Cluster.reading` is a generator of rounds: each is some requests that go out side by side, and it wants back what came,
in the same order. What it learns about leaders and coordinators it keeps for the next reading. `Conversation` is the
session that has it over a `Transport`, which is all that is left to do for a library.
"""

import random
import time
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from superclient.errors import ClusterError, NotAuthorized, Unreachable
from superclient.kafka._bounded import Deadline
from superclient.kafka.connection import Offsets
from superclient.kafka.offsets.protocol import (
    EARLIEST,
    GROUP_NOT_FOUND,
    LATEST,
    NOT_COORDINATOR,
    UNKNOWN_TOPIC,
    Address,
    FindCoordinator,
    ListOffsets,
    Metadata,
    OffsetFetch,
    Question,
    error_of,
)

METADATA_AGE = 60.0  # seconds after which leaders, numbers of partitions and log start offsets are asked for again
MISSING_AGE = 10.0  # the same while a topic or a leader is missing
PATIENCE = 2 / 3  # of the time that is left: how long a round waits for its slowest answer
OFFSETS_TOPIC = "__consumer_offsets"

Groups = Mapping[str, Collection[str]]
"""Group → its topics."""
Places = dict[str, dict[int, int]]
"""Topic → partition → offset."""


class Health(IntEnum):
    """What a session is good for after a reading."""

    SOUND = 0
    STALE = 1  # what it knew of leaders or coordinators was wrong: the next reading asks for them again
    BROKEN = 2  # a connection failed, or owes an answer: not to be used again


class Ask(NamedTuple):
    """A question, and the broker that it is for."""

    address: Address
    question: Question


class Round(NamedTuple):
    """Questions that go out side by side, and how much of the time that is left is for the slowest answer."""

    asks: list[Ask]
    share: float


Answers = Sequence[Any]
"""Of each question its `result`, or a ClusterError."""
T = TypeVar("T")
Rounds = Generator[Round, Answers, T]


class Transport(Protocol):
    """Connections to brokers."""

    def send(self, asks: Sequence[Ask], seconds: float) -> Answers:
        """Connect where that is needed, send, and wait so long for what comes; what does not is an error there."""
        ...

    def close(self) -> None:
        """Close everything."""
        ...


class Conversation:
    """A session (see reader.Session) with the brokers that are found at these addresses."""

    def __init__(self, bootstrap: Sequence[Address], transport: Transport) -> None:
        self._cluster, self._transport = Cluster(bootstrap), transport

    @property
    def health(self) -> Health:
        """See reader.Session."""
        return self._cluster.health

    def read(self, groups: Groups, deadline: Deadline) -> Offsets:
        """See reader.Session."""
        reading = self._cluster.reading(groups)
        try:
            asks, share = next(reading)
            while True:
                asks, share = reading.send(self._transport.send(asks, deadline.left() * share))
        except StopIteration as end:
            offsets: Offsets = end.value
            return offsets

    def close(self) -> None:
        """See reader.Session."""
        self._transport.close()


class Cluster:
    """What is known of a cluster from one reading to the next; `health` tells how the last one went."""

    def __init__(self, bootstrap: Sequence[Address]) -> None:
        self.health = Health.SOUND
        self._bootstrap = bootstrap
        self._leaders: dict[str, dict[int, Address]] = {}
        self._asked: frozenset[str] = frozenset()  # the topics that were asked for last
        self._good_until = 0.0  # time.monotonic()
        self._starts: Places = {}
        self._starts_until = 0.0  # time.monotonic()
        self._looked = False  # whether leaders were asked for in this very reading
        self._failure: ClusterError | None = None  # why there is nothing to read, where there is not
        self._coordinators: dict[str, Address] = {}
        self._without: dict[str, ClusterError] = {}  # groups whose coordinator we are not told
        self._groups: bool | None = None  # whether there may be any groups; None: not asked yet

    def reading(self, groups: Groups) -> Rounds[Offsets]:
        """The rounds of one reading.

        Raises:
            ClusterError: there was nothing to be had.
        """
        self.health = Health.SOUND
        topics = frozenset[str]().union(*groups.values())
        if not topics:
            return Offsets({})
        unknown = [group for group in groups if group not in self._coordinators]
        aged = time.monotonic() >= self._good_until
        self._looked = bool(aged or topics - self._asked or (unknown and self._groups is None))
        if self._looked:
            yield from self._look(topics, bool(unknown))
        refused = {group: error for group, error in self._without.items() if group in groups}
        if unknown and self._groups:
            yield from self._find([group for group in unknown if group not in refused], refused)
        ends, committed = yield from self._read(groups, topics, refused)
        yield from self._learn_starts(ends)
        starts = {topic: self._starts[topic] for topic in ends if topic in self._starts}
        return Offsets(ends, starts, committed, refused)

    def _look(self, topics: frozenset[str], for_groups: bool) -> Rounds[None]:
        """Learn who leads what; and, where a coordinator is to be looked for next, whether there may be groups at all:
        looking for one's coordinator creates the topic of their offsets where it is not there yet."""
        (answer,) = yield from self._ask_anybody([Metadata(topics | {OFFSETS_TOPIC} if for_groups else topics)])
        if isinstance(answer, ClusterError):
            raise answer
        nodes, states = answer
        if for_groups:
            self._groups = OFFSETS_TOPIC not in states or states[OFFSETS_TOPIC].error != UNKNOWN_TOPIC
        found = {topic: state for topic, state in states.items() if topic in topics}
        errors = [error_of(state.error) for state in found.values() if state.error]
        self._leaders = {
            topic: {number: nodes[leader] for number, leader in state.leaders.items() if leader in nodes}
            for topic, state in found.items()
        }
        complete = not errors and all(len(self._leaders[t]) == len(state.leaders) for t, state in found.items())
        self._good_until = time.monotonic() + (METADATA_AGE if complete and self._groups else MISSING_AGE)
        self._asked = topics
        self._starts = {topic: known for topic, known in self._starts.items() if self._leaders.get(topic)}
        self._without = {}
        self._failure = next((each for each in errors if isinstance(each, NotAuthorized)), None)
        if self._failure is None and any(state.leaders for state in found.values()):
            self._failure = Unreachable("LeaderNotAvailable")

    def _find(self, groups: list[str], refused: dict[str, ClusterError]) -> Rounds[None]:
        """Learn who keeps the offsets of these groups."""
        answers = yield from self._ask_anybody([FindCoordinator(group) for group in groups])
        for group, answer in zip(groups, answers, strict=True):
            if isinstance(answer, ClusterError):
                refused[group] = self._broken(answer)
                continue
            code, address = answer
            if code == 0:
                self._coordinators[group] = address
                continue
            refused[group] = error_of(code)
            if isinstance(refused[group], NotAuthorized):
                self._without[group] = refused[group]

    def _ask_anybody(self, questions: Sequence[Question]) -> Rounds[Answers]:
        """What the first broker answers that answers: one that is known, then the bootstrap servers."""
        known = {address for leaders in self._leaders.values() for address in leaders.values()}
        candidates = random.sample(sorted(known), min(1, len(known)))
        candidates += random.sample(self._bootstrap, len(self._bootstrap))
        answers: Answers = [Unreachable("no bootstrap servers")] * len(questions)
        for number, address in enumerate(candidates):
            share = PATIENCE / (len(candidates) - number)
            answers = (yield Round([Ask(address, question) for question in questions], share)) if questions else []
            if not any(type(answer) is Unreachable for answer in answers):
                break
        return answers

    def _read(
        self, groups: Groups, topics: frozenset[str], refused: dict[str, ClusterError]
    ) -> Rounds[tuple[Places, dict[str, Places]]]:
        """Ends and commits, in one round."""
        leaders = self._by_leader(self._partitions(topics))
        wanted = {group: self._partitions(groups[group]) for group in groups if group in self._coordinators}
        asked = [group for group, partitions in wanted.items() if partitions]
        asks = [Ask(address, ListOffsets(each, LATEST)) for address, each in leaders.items()]
        asks += [Ask(self._coordinators[group], OffsetFetch(group, wanted[group])) for group in asked]
        answers = (yield Round(asks, PATIENCE)) if asks else []
        ends, failure = self._merged(answers[: len(leaders)])
        why = failure or self._failure
        if why is not None and not ends:
            raise type(why)(*why.args)
        committed: dict[str, Places] = {group: {} for group in groups if group not in refused}
        for group, answer in zip(asked, answers[len(leaders) :], strict=True):
            found = self._commits(group, answer)
            if isinstance(found, ClusterError):
                refused[group] = found
                del committed[group]
            else:
                committed[group] = found
        return ends, committed

    def _learn_starts(self, ends: Places) -> Rounds[None]:
        """Learn where partitions start, which retention moves: of all that have an end, now and then; in between where
        it is not known, or past the end, as in a topic that was made anew."""
        if time.monotonic() >= self._starts_until:
            self._starts, self._starts_until = {}, time.monotonic() + METADATA_AGE
        wanted = {}
        for topic, found in ends.items():
            known = self._starts.get(topic, {})
            if unknown := [number for number, end in found.items() if not 0 <= known.get(number, -1) <= end]:
                wanted[topic] = unknown
        if not wanted:
            return
        asks = [Ask(address, ListOffsets(each, EARLIEST)) for address, each in self._by_leader(wanted).items()]
        starts, _ = self._merged((yield Round(asks, PATIENCE)))
        for topic, found in starts.items():
            self._starts[topic] = {**self._starts.get(topic, {}), **found}  # what was handed out stays as it is

    def _merged(self, answers: Answers) -> tuple[Places, ClusterError | None]:
        """The offsets in these answers, and an error if there was one."""
        merged: Places = defaultdict(dict)
        failure: ClusterError | None = None
        for answer in answers:
            if isinstance(answer, ClusterError):
                failure = self._broken(answer)
                continue
            for topic, partitions in answer.items():
                for number, (error, offset) in partitions.items():
                    if not error:
                        merged[topic][number] = offset
                        continue
                    failure = error_of(error)
                    if not isinstance(failure, NotAuthorized):
                        self._stale()
        return dict(merged), failure

    def _commits(self, group: str, answer: Any) -> Places | ClusterError:
        if isinstance(answer, ClusterError):
            return self._broken(answer)
        error: int = answer[0]
        found: Places = answer[1]
        if error in {0, GROUP_NOT_FOUND}:
            return found
        failure = error_of(error)
        if isinstance(failure, Unreachable):
            self._coordinators.pop(group, None)
            if error == NOT_COORDINATOR:
                self._stale()
        return failure

    def _broken(self, error: ClusterError) -> ClusterError:
        self.health = Health.BROKEN
        return error

    def _stale(self) -> None:
        """What was asked for a moment ago does not get better by asking again at once."""
        self._good_until = min(self._good_until, time.monotonic() + (MISSING_AGE if self._looked else 0.0))
        if not self._looked:
            self.health = max(self.health, Health.STALE)

    def _partitions(self, topics: Iterable[str]) -> dict[str, Collection[int]]:
        return {topic: self._leaders[topic].keys() for topic in topics if self._leaders.get(topic)}

    def _by_leader(self, partitions: Mapping[str, Collection[int]]) -> dict[Address, dict[str, list[int]]]:
        leaders: dict[Address, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for topic, numbers in partitions.items():
            for number in numbers:
                leaders[self._leaders[topic][number]][topic].append(number)
        return leaders
