"""Which producers are touched at all: modes, rollouts and exclusions, AGT-60, AGT-63, AGT-64."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.agent import rollout
from superclient.agent.model import Action, Advice, Origin, State, Treatment
from superclient.agent.optimizer import optimize
from superclient.contract import Metadata, TopicAdvice
from superclient.settings import Settings
from tests.unit.test_optimizer import ABSENT, known, plan, request

PERCENT = st.floats(0, 100)
NAMES = st.text(max_size=30)
EXPECTED = 19.2059


@given(host=NAMES, client=NAMES, first=PERCENT, second=PERCENT)
def test_raising_a_percentage_only_adds_producers(host: str, client: str, first: float, second: float) -> None:
    """AGT-63: whoever is in at some percentage is in at every higher one; nobody at 0, everybody at 100."""
    number = rollout.place(host, client)
    assert 0 <= number < 100
    assert not rollout.within(number, min(first, second)) or rollout.within(number, max(first, second))
    assert not rollout.within(number, 0)
    assert rollout.within(number, 100)


def test_a_producer_has_the_same_number_everywhere() -> None:
    """AGT-63: written down, for another release must not move producers; and whatever PYTHONHASHSEED says."""
    assert rollout.place("host-1", "orders-writer") == EXPECTED
    code = "from superclient.agent.rollout import place; print(place('host-1', 'orders-writer'))"
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed, "SUPERSTREAM_DISABLED": "true", "PYTHONPATH": ":".join(sys.path)}
        said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert float(said.stdout) == EXPECTED


def test_a_percentage_is_a_share_of_producers() -> None:
    """AGT-63: of many producers about as many are in; host and client id both count."""
    numbers = [rollout.place(f"host-{host}", f"client-{client}") for host in range(50) for client in range(40)]
    for percent in (10, 50, 90):
        assert sum(rollout.within(number, percent) for number in numbers) / 20 == pytest.approx(percent, abs=4)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"mode": "observe"}, "SUPERSTREAM_MODE=observe"),
        ({"rollout_percent": 42.5}, "its number 42.5 is not within SUPERSTREAM_ROLLOUT_PERCENT=42.5"),
    ],
)
def test_an_observed_producer_is_planned_for_and_not_changed(settings: dict[str, object], why: str) -> None:
    """AGT-60, AGT-63: every decision is there, told as what would have been; nothing is changed."""
    advice = known(compression_type="zstd", batch_size=1024, linger_ms=20)
    done = optimize(request(), ("orders",), advice, Settings())
    told = optimize(request(), ("orders",), advice, Settings(**settings), place=42.5)  # type: ignore[arg-type]
    assert (told.changes, told.treatment) == ({}, Treatment.OBSERVED)
    assert told.proposed == done.changes == {"compression.type": "zstd", "linger.ms": 20}
    assert [(one.name, one.value, one.why) for one in told.reasons] == [
        (one.name, one.value, one.why) for one in done.reasons
    ]
    assert {one.action for one in told.reasons} == {Action.OBSERVED, Action.KEPT}
    assert (told.topic, told.why) == ("orders", f"recommended for topic orders; {why}")
    assert (done.treatment, done.proposed) == (Treatment.TUNED, {})


def test_defaults_are_observed_too() -> None:
    """AGT-60: without a recommendation it is the defaults that would have been set."""
    told = plan(request(), ABSENT, mode="observe")
    assert (told.changes, set(told.proposed)) == ({}, {"batch.size"})
    assert told.origin is Origin.DEFAULTS


def test_within_the_rollout_everything_is_as_without_one() -> None:
    """AGT-63: a producer whose number is below the percentage is tuned like any other."""
    advice = known(compression_type="zstd")
    assert optimize(request(), ("orders",), advice, Settings(rollout_percent=50), place=49.9) == plan(request(), advice)


@pytest.mark.parametrize(
    ("globs", "left"),
    [(("app",), True), (("other", "a*"), True), (("A*",), False), (("ap",), False), (("[a-b]p?",), True), ((), False)],
)
def test_a_producer_is_excluded_by_its_client_id(globs: tuple[str, ...], left: bool) -> None:
    """AGT-64: a glob for the whole client id, case and all; its own settings hold."""
    decided = plan(request(), known(compression_type="zstd"), exclude_client_ids=globs)
    assert (decided.changes == {}) is left
    assert decided.treatment is (Treatment.LEFT_ALONE if left else Treatment.TUNED)
    if left:
        assert "SUPERSTREAM_EXCLUDE_CLIENT_IDS" in decided.why
        assert [(one.name, one.action, one.why) for one in decided.reasons] == [
            (name, Action.KEPT, decided.why) for name in ("compression.type", "batch.size", "linger.ms")
        ]


@pytest.mark.parametrize(
    ("seen", "said", "left"),
    [
        (("orders",), (), ""),
        (("orders", "audit-eu"), (), "it writes audit-eu"),
        (("orders",), ("orders", "audit-eu"), ""),  # what it was seen to write decides
        ((), ("orders", "audit-eu"), "it may write audit-eu"),
        ((), ("orders",), ""),
        ((), (), "what it writes is not known yet"),
    ],
)
def test_a_producer_is_excluded_by_a_topic_it_writes(seen: tuple[str, ...], said: tuple[str, ...], left: str) -> None:
    """AGT-64: one excluded topic is enough, and an exclusion holds before anything was seen."""
    advice = known(compression_type="zstd")
    decided = plan(request(), advice, seen, topics_list=said, exclude_topics=("audit-*",))
    if left:
        assert (decided.changes, decided.treatment) == ({}, Treatment.LEFT_ALONE)
        assert left in decided.why
        assert "SUPERSTREAM_EXCLUDE_TOPICS" in decided.why
    else:
        assert decided.changes == {"compression.type": "zstd"}


def advising(*topics: TopicAdvice) -> Advice:
    """Metadata that knows these topics."""
    return Advice(State.KNOWN, "read", Metadata(topics={topic.topic: topic for topic in topics}))


ORDERS = TopicAdvice("orders", {"compression.type": "zstd"}, {}, 50, 1000)
DISABLED = TopicAdvice("audit", {"compression.type": "gzip"}, {}, 90, 9000, enabled=False)


def test_a_topic_that_the_metadata_disables_is_left_alone() -> None:
    """AGT-64: `enabled: false` is an exclusion by the metadata: of who writes it, or may, and of nobody else."""
    advice = advising(ORDERS, DISABLED)
    for seen, said in ((("audit", "orders"), ()), ((), ("orders", "audit"))):
        decided = plan(request(), advice, seen, topics_list=said)
        assert (decided.changes, decided.treatment) == ({}, Treatment.LEFT_ALONE)
        assert "write audit" in decided.why.replace("writes", "write")
        assert "enabled: false" in decided.why
    assert plan(request(), advice, ("orders",)).changes == {"compression.type": "zstd"}
    assert plan(request(), advice, ()).origin is Origin.DEFAULTS


def test_what_a_process_may_write_brings_no_excluded_recommendation() -> None:
    """AGT-64: a disabled topic of SUPERSTREAM_TOPICS_LIST never decides for a producer that writes another."""
    decided = plan(request(), advising(ORDERS, DISABLED), ("orders",), topics_list=("orders", "audit"))
    assert (decided.topic, decided.changes) == ("orders", {"compression.type": "zstd"})


def test_a_topics_rollout_is_for_those_whose_number_is_below() -> None:
    """AGT-63: outside it a recommendation does not exist for a producer: another decides, or the defaults."""
    staged = TopicAdvice("big", {"compression.type": "gzip"}, {}, 90, 9000, rollout_percentage=30)
    both = advising(ORDERS, staged)
    inside, outside = (
        optimize(request(), ("orders", "big"), both, Settings(), place=number) for number in (29.9999, 30)
    )
    assert (inside.topic, inside.changes) == ("big", {"compression.type": "gzip"})
    assert (outside.topic, outside.changes) == ("orders", {"compression.type": "zstd"})
    last = outside.reasons[-1]
    assert (last.name, last.action, last.value) == ("rollout_percentage", Action.REFUSED, 30)
    assert "of topic big" in last.why
    alone = optimize(request(), ("big",), advising(staged), Settings(), place=30)
    assert (alone.origin, alone.changes) == (Origin.DEFAULTS, plan(request(), ABSENT).changes)
    assert alone.treatment is Treatment.TUNED


@given(first=PERCENT, second=PERCENT, number=st.floats(0, 99.9999))
def test_a_topics_rollout_only_grows(first: float, second: float, number: float) -> None:
    """AGT-63: raising a topic's percentage takes its recommendation from nobody."""
    lower, higher = (
        optimize(
            request(),
            ("t",),
            advising(TopicAdvice("t", {"linger.ms": 5}, {}, 1, 1, rollout_percentage=percent)),
            Settings(),
            place=number,
        ).topic
        for percent in sorted((first, second))
    )
    assert not lower or higher


@pytest.mark.parametrize(
    "advice",
    [Advice(State.UNKNOWN, ""), Advice(State.KNOWN, "read", Metadata(active=False))],
)  # fmt: skip
def test_nothing_known_and_switched_off_leave_a_producer_alone(advice: Advice) -> None:
    """AGT-32, AGT-62: not a setting, and nothing else, may be changed."""
    decided = plan(request(), advice, mode="observe")
    assert decided.treatment is Treatment.LEFT_ALONE
    assert decided.why


def test_plans_have_the_same_effect_if_they_may_do_the_same() -> None:
    """AGT-60: two plans without a change differ where one lets records be partitioned by the agent."""
    tuned, left = plan(request(), ABSENT, defaults=False), plan(request(), Advice(State.UNKNOWN, "no answer"))
    assert (tuned.changes, left.changes) == ({}, {})
    assert tuned.same_effect(tuned)
    assert not tuned.same_effect(left)
