"""Who reads what in a Gofka group: the members' own reckoning, over hundreds of joins, leaves, swaps and deaths."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superclient.gofka.assignment import STRATEGIES, by_range, by_turns
from superclient.gofka.errors import GroupCoordinationError
from superclient.gofka.membership import Group, Member
from superclient.gofka.wire import (
    BrokerError,
    DescribeGroups,
    GroupDescription,
    Heartbeat,
    Joined,
    JoinGroup,
    LeaveGroup,
    Synced,
    SyncGroup,
)
from superclient.gofka.wire import Member as Described
from tests.servers.gofka.errors import Refused
from tests.servers.gofka.state import Options, State

COUNTS = {"a": 7, "b": 3, "c": 1}
SESSION_S = 10.0


# --- shares -----------------------------------------------------------------------------------------------------------


def test_range_gives_neighbours_and_the_first_one_more() -> None:
    """GOF-26: as Kafka's range assignor, topic by topic."""
    members = {"y": ("a", "b"), "x": ("a",), "z": ("b", "unknown")}
    assert by_range(members, {"a": 5, "b": 2}) == {
        "x": [("a", 0), ("a", 1), ("a", 2)],
        "y": [("a", 3), ("a", 4), ("b", 0)],
        "z": [("b", 1)],
    }


def test_roundrobin_takes_turns_over_all_topics() -> None:
    """GOF-26: as Kafka's round-robin assignor: the turn goes on from one topic to the next, passing over others."""
    members = {"x": ("a", "b"), "y": ("a", "b"), "z": ("b",)}
    assert by_turns(members, {"b": 3, "a": 3}) == {
        "x": [("a", 0), ("a", 2), ("b", 2)],
        "y": [("a", 1), ("b", 0)],
        "z": [("b", 1)],
    }


_subscriptions = st.dictionaries(
    st.text("xyz", min_size=1, max_size=4), st.sets(st.sampled_from("abcd")), min_size=1, max_size=7
)
_counts = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 12))


@settings(deadline=None, max_examples=60)
@given(_subscriptions, _counts, st.sampled_from(sorted(STRATEGIES)))
def test_each_partition_has_one_owner(members: dict[str, set[str]], counts: dict[str, int], strategy: str) -> None:
    """GOF-27: one who is subscribed to it; and whoever reckons it in another order comes to the same."""
    shares = STRATEGIES[strategy](members, counts)
    again = STRATEGIES[strategy](dict(reversed(members.items())), dict(reversed(counts.items())))
    assert shares == again
    assert set(shares) == set(members)
    owned = Counter(place for places in shares.values() for place in places)
    wanted = {topic for subscribed in members.values() for topic in subscribed}
    assert owned == Counter((topic, n) for topic in wanted & set(counts) for n in range(counts[topic]))
    assert all(topic in members[member] for member, places in shares.items() for topic, _ in places)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), _counts, st.sampled_from(sorted(STRATEGIES)))
def test_shares_are_even(size: int, counts: dict[str, int], strategy: str) -> None:
    """GOF-27: range topic by topic, round-robin over all of them."""
    members = {f"m{n}": tuple("abcd") for n in range(size)}
    shares = STRATEGIES[strategy](members, counts)
    groups = [set(counts)] if strategy == "roundrobin" else [{topic} for topic in counts]
    for topics in groups:
        sizes = [sum(topic in topics for topic, _ in places) for places in shares.values()]
        assert max(sizes) - min(sizes) <= 1


# --- the recipe, against the rules of the broker ---------------------------------------------------------------------


class World:
    """A broker's groups in a time of its own, and members that ask it one request at a time, in random order."""

    def __init__(self, seed: int, strategy: str) -> None:
        self.random = random.Random(seed)
        self.state = State(Options(clock=0.0))  # its time is what `skipped_s` says
        self.groups = self.state.groups
        for topic, count in COUNTS.items():
            self.state.create_topic(topic, count)
        self.strategy = STRATEGIES[strategy]
        self.names = map("m{}".format, itertools.count())
        self.members: dict[str, Runner] = {}
        self.described: Counter[tuple[str, float, int]] = Counter()

    def answer(self, request: Any) -> Any:
        prefix = "heartbeat failed" if isinstance(request, Heartbeat) else "sync group failed"
        try:
            return self.reply(request)
        except Refused as error:
            return BrokerError(f"{prefix}: {error}")

    def reply(self, request: Any) -> Any:
        groups, found = self.groups, self.groups.by_id.get("g")
        if isinstance(request, JoinGroup):
            who = (request.group, request.member, request.client_id, request.client_host, request.session_ms)
            group = groups.join(*who, list(request.topics))
            return Joined(group.id, group.generation, request.member, group.leader)
        if isinstance(request, SyncGroup):
            partitions, generation = groups.sync(request.group, request.member, request.generation)
            return Synced(tuple(partitions), generation)
        if isinstance(request, Heartbeat):
            return groups.heartbeat(request.group, request.member, request.generation)
        if isinstance(request, LeaveGroup):
            return groups.leave(request.group, request.member)
        assert isinstance(request, DescribeGroups)
        if found is None:
            return (GroupDescription(16, "", "", "", "", ()),)
        members = tuple(Described(m.id, "c", "h", tuple(m.topics), ()) for m in found.members.values())
        return (GroupDescription(0, "g", found.state, "consumer", "range", members),)

    def pass_time(self, seconds: float) -> None:
        self.state.skipped_s += seconds
        self.groups.tick()

    # --- what happens

    def join(self) -> None:
        topics = tuple(sorted(self.random.sample(sorted(COUNTS), self.random.randint(1, 3))))
        name = next(self.names)
        self.members[name] = Runner(self, Member("g", name, "c", "h", int(SESSION_S * 1000), topics))

    def leave(self) -> None:
        runner = self.members.pop(self.random.choice(sorted(self.members)))
        self.answer(runner.member.leave())

    def die(self) -> None:
        self.members.pop(self.random.choice(sorted(self.members)))

    def happen(self) -> None:
        events = [self.join] if len(self.members) < 5 else []
        events += [self.leave, self.die, self.swap, self.expel] if self.members else []
        self.random.choice(events)()
        for _ in range(self.random.randrange(12)):
            if self.members:
                self.members[self.random.choice(sorted(self.members))].step()
            self.pass_time(self.random.choice((0.0, 0.0, 0.1, 1.0)))

    def swap(self) -> None:
        self.leave()
        self.join()

    def expel(self) -> None:
        """Silent for too long, and alive: it must come back by itself."""
        name = self.random.choice(sorted(self.members))
        if name in self.groups.members:
            self.groups.members[name].last_sign = self.state.now() - 2 * SESSION_S
        self.pass_time(3.0)

    def settle(self) -> int:
        """Until nothing changes, longer than a dead member is remembered; how many rounds something changed in."""
        busy = 0
        for quiet in itertools.count():
            before = [(name, runner.owned) for name, runner in sorted(self.members.items())]
            for name in self.random.sample(sorted(self.members), len(self.members)):
                for _ in range(4):
                    self.members[name].step()
            self.pass_time(1.0)
            settled = all(runner.group for runner in self.members.values())
            if not settled or before != [(name, runner.owned) for name, runner in sorted(self.members.items())]:
                busy = quiet + 1
            if quiet - busy > SESSION_S + 4:
                return busy
            assert quiet < 200, "it does not come to rest"
        raise AssertionError

    def check(self) -> None:
        members = {name: set(runner.member.topics) for name, runner in self.members.items()}
        wanted = {topic for topics in members.values() for topic in topics}
        owned = Counter(place for runner in self.members.values() for place in runner.owned)
        assert owned == Counter((topic, n) for topic in wanted for n in range(COUNTS[topic]))
        for name, runner in self.members.items():  # nobody idles where there is enough for everybody
            alone = [topic for topic in members[name] if sum(topic in m for m in members.values()) <= COUNTS[topic]]
            assert runner.owned or not alone or self.strategy is by_turns


class Runner:
    """One member: settling, or settled and sending heartbeats."""

    def __init__(self, world: World, member: Member) -> None:
        self.world, self.member = world, member
        self.owned: tuple[tuple[str, int], ...] = ()
        self.begin(None)

    def begin(self, generation: int | None) -> None:
        self.group: Group | None = None
        self.steps = self.member.settle(generation)
        self.request: Any = next(self.steps)

    def step(self) -> None:
        """One request, one reply."""
        if self.group is not None:
            answer = self.world.answer(self.member.heartbeat(self.group.generation))
            if isinstance(answer, BrokerError):
                self.begin(self.member.next_generation(answer))
            return
        answer = self.world.answer(self.request)
        if isinstance(self.request, SyncGroup) and isinstance(answer, Synced):
            self.synced = (self.member.id, self.world.groups.by_id["g"].created, answer.generation)
        if isinstance(self.request, DescribeGroups):
            self.world.described[self.synced] += 1
        try:
            self.request = self.steps.send(answer)
        except StopIteration as end:
            self.group = end.value
            self.owned = tuple(self.world.strategy(end.value.members, COUNTS)[self.member.id])


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("seed", range(5))
def test_hundreds_of_changes_come_to_rest(seed: int, strategy: str) -> None:
    """GOF-27: every partition owned exactly once, none idle, whatever came and went, and between what requests.

    Most of it in a group of more than 60 s, which hands out stale assignments. No member describes a generation twice.
    """
    world = World(seed, strategy)
    world.join()
    for _ in range(40):
        for _ in range(world.random.randint(1, 4)):
            world.happen()
        world.settle()
        world.check()
    assert max(world.described.values()) == 1


@settings(deadline=None, max_examples=40)
@given(st.integers(min_value=0), st.lists(st.sampled_from("jjldse"), max_size=12))
def test_any_order_of_changes_comes_to_rest(seed: int, events: list[str]) -> None:
    """GOF-27: also in the orders that break things."""
    world = World(seed, "range")
    world.join()
    for event in events:
        if event == "j" or world.members:
            {"j": world.join, "l": world.leave, "d": world.die, "s": world.swap, "e": world.expel}[event]()
        for _ in range(world.random.randrange(6)):
            for runner in world.members.values():
                runner.step()
    world.settle()
    world.check()


# --- single steps ----------------------------------------------------------------------------------------------------


def member(name: str = "m") -> Member:
    return Member("g", name, "c", "h", 10_000, ("a",))


def played(steps: Any, *answers: Any) -> list[str]:
    """The names of the requests, the last of which waits for its answer."""
    names = [type(next(steps)).__name__]
    for answer in answers:
        names.append(type(steps.send(answer)).__name__)
    return names


def test_an_expelled_member_joins_again() -> None:
    """GOF-27: its Sync succeeds all the same; only the Heartbeat after it says that it is none."""
    gone = BrokerError("heartbeat failed: member m not found in group g")
    nobody = (GroupDescription(0, "g", "stable", "consumer", "range", ()),)
    assert played(member().settle(3), Synced((0,), 3), nobody, gone) == [
        "SyncGroup",
        "DescribeGroups",
        "Heartbeat",
        "JoinGroup",
    ]
    assert member().next_generation(BrokerError("heartbeat failed: group g not found")) is None


def test_a_generation_is_followed_without_joining() -> None:
    """GOF-27: "expected N" means N, at Sync as at Heartbeat: a Join would make yet another generation."""
    steps = member().settle()
    names = played(
        steps, Joined("g", 1, "m", "m"), BrokerError("sync group failed: generation mismatch: expected 4, got 1")
    )
    assert names == ["JoinGroup", "SyncGroup", "SyncGroup"]
    assert isinstance(steps.send(Synced((), 4)), DescribeGroups)
    request = steps.send((GroupDescription(0, "g", "stable", "consumer", "", (Described("m", "", "", ("a",), ()),)),))
    assert request == Heartbeat("g", "m", 4)
    with pytest.raises(StopIteration) as end:
        steps.send(None)
    assert end.value.value == Group(4, {"m": ("a",)})


def described(*, group: str = "g", error: int = 0) -> tuple[GroupDescription, ...]:
    """A group of which m is a member."""
    return (GroupDescription(error, group, "stable", "consumer", "", (Described("m", "", "", ("a",), ()),)),)


def test_what_was_read_counts_only_with_the_heartbeat_after_it() -> None:
    """GOF-27: it may be of another generation than all agree on, although we are in it."""
    steps = member().settle(3)
    played(steps, Synced((), 3), described())
    assert steps.send(BrokerError("heartbeat failed: generation mismatch: expected 7, got 3")) == SyncGroup("g", "m", 7)
    played(steps := member().settle(3), Synced((), 3), described())
    gone = BrokerError("heartbeat failed: member m not found in group g")
    assert isinstance(steps.send(gone), JoinGroup)


@pytest.mark.parametrize(
    "read", [(), described(group="other"), described(error=16)], ids=["nothing", "another group", "an error"]
)
def test_a_group_without_us_is_joined_again(read: tuple[GroupDescription, ...]) -> None:
    """GOF-27: whatever its heartbeat says: its members reckon without us."""
    played(steps := member().settle(3), Synced((), 3), read)
    assert isinstance(steps.send(None), JoinGroup)


def test_a_join_tells_its_topics_in_order() -> None:
    """GOF-27: so that a member says the same each time."""
    of_two = Member("g", "m", "c", "h", 10_000, ("b", "a"))
    assert next(of_two.settle()) == JoinGroup("g", "m", "c", "h", 10_000, ["a", "b"])


def test_an_answer_that_helps_nobody_is_an_error() -> None:
    """GOF-27: what is neither a generation nor an expulsion ends the attempt, and never repeats it in a loop."""
    broken = BrokerError("sync group failed: disk on fire")
    for answers in ([broken], [Joined("g", 1, "m", "m"), broken]):
        with pytest.raises(GroupCoordinationError, match="disk on fire"):
            played(member().settle(), *answers)


def test_a_group_that_never_rests_is_an_error() -> None:
    """GOF-27: an end after so many generations in a row, not a loop for ever."""
    steps = member().settle(1)
    mismatches = (BrokerError(f"sync group failed: generation mismatch: expected {n}, got 1") for n in range(2, 1000))
    with pytest.raises(GroupCoordinationError, match="did not come to rest"):
        played(steps, *mismatches)
