"""Which partitioning a producer gets, and why, on requests made by hand: AGT-33, LAG-8."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from superclient.agent.model import Action, Advice, Origin, Plan, ProducerRequest, State, Treatment
from superclient.agent.optimizer import optimize, own_plan
from superclient.agent.routing import groups, rerouted
from superclient.contract import Metadata, TopicAdvice
from superclient.kafka.connection import Connection
from superclient.kafka.vocabulary import BATCH, LINGER, PARTITIONER
from superclient.settings import Settings

NAMED = Metadata(
    topics={
        "orders": TopicAdvice("orders", {}, {}, consumer_group="shop"),
        "pilot": TopicAdvice("pilot", {}, {}, consumer_group="lab", rollout_percentage=10.0),
        "bare": TopicAdvice("bare", {}, {}),
    }
)


def request(library: str = "kafka-python", own: str = "DefaultPartitioner", steerable: bool = True) -> ProducerRequest:
    """A producer that wrote nothing down."""
    connection = Connection(library, ("localhost:9092",), "PLAINTEXT", {})
    names = {BATCH, LINGER, PARTITIONER} if steerable else {BATCH, LINGER}
    defaults = {BATCH: 16384, LINGER: 0, PARTITIONER: own}
    return ProducerRequest(library, "1", "app", connection, {}, defaults, frozenset({"none"}), frozenset(names))


def planned(topics: tuple[str, ...], asked: ProducerRequest | None = None, place: float = 0.0, **settings: Any) -> Plan:
    """The plan for a producer of these topics, by metadata that names groups."""
    advice = Advice(State.KNOWN, "read", NAMED)
    return optimize(asked or request(), topics, advice, Settings(**settings), place=place)


def reason(plan: Plan) -> str:
    """Why its records go where they go."""
    return "; ".join(one.why for one in plan.reasons if one.name == PARTITIONER)


def test_precedence_of_a_topics_group() -> None:
    """LAG-8: SUPERSTREAM_CONSUMER_GROUPS, then the metadata, then SUPERSTREAM_CONSUMER_GROUP."""
    advice = Advice(State.KNOWN, "read", NAMED)
    topics = ("orders", "bare", "unheard")
    assert groups(topics, advice, Settings()) == {"orders": "shop"}
    everywhere = Settings(consumer_group="all")
    assert groups(topics, advice, everywhere) == {"orders": "shop", "bare": "all", "unheard": "all"}
    named = replace(everywhere, consumer_groups=(("orders", "mine"), ("bare", "yours")))
    assert groups(topics, advice, named) == {"orders": "mine", "bare": "yours", "unheard": "all"}
    assert groups(topics, Advice(State.ABSENT, "no topic"), Settings(consumer_group="all")) == dict.fromkeys(
        topics, "all"
    )


def test_a_topics_rollout_is_its_groups_as_well() -> None:
    """AGT-63: for a producer outside a topic's rollout what the metadata says of the topic does not exist."""
    advice = Advice(State.KNOWN, "read", NAMED)
    assert groups(("pilot",), advice, Settings(), 5.0) == {"pilot": "lab"}
    assert groups(("pilot",), advice, Settings(), 50.0) == {}
    assert planned(("pilot",), place=5.0).changes[PARTITIONER] == "lag-aware"
    assert planned(("pilot",), place=50.0).changes[PARTITIONER] == "sticky"


@pytest.mark.parametrize("partitioning", ["auto", "lag-aware"])
def test_lag_aware_where_a_topic_has_a_group(partitioning: str) -> None:
    """LAG-8: lag-aware with a reason that names topic and group; sticky for a producer none of whose topics has one."""
    plan = planned(("orders", "bare"), partitioning=partitioning)
    assert (plan.changes[PARTITIONER], plan.groups) == ("lag-aware", {"orders": "shop"})
    assert reason(plan) == "records without a key avoid the partitions where group shop of topic orders lags"
    other = planned(("bare",), partitioning=partitioning)
    assert (other.changes[PARTITIONER], other.groups) == ("sticky", {})
    assert ("no consumer group is named" in reason(other)) == (partitioning == "lag-aware")


def test_one_group_for_everything_needs_no_topic() -> None:
    """LAG-8: with SUPERSTREAM_CONSUMER_GROUP a producer is lag-aware before it is known what it writes."""
    plan = planned((), consumer_group="all")
    assert (plan.changes[PARTITIONER], plan.groups) == ("lag-aware", {})
    assert reason(plan) == "records without a key avoid the partitions where group all lags"


def test_many_topics_are_counted_not_listed() -> None:
    """AGT-50: a reason stays a phrase."""
    plan = planned(tuple(f"t{number}" for number in range(50)), consumer_group="all")
    assert len(plan.groups) == 50
    assert "those of 47 more topics" in reason(plan)
    assert len(reason(plan)) < 200


@pytest.mark.parametrize(("partitioning", "expected"), [("sticky", "sticky"), ("default", None)])
def test_sticky_and_default_are_never_lag_aware(partitioning: str, expected: str | None) -> None:
    """LAG-8: whatever groups are named."""
    plan = planned(("orders",), partitioning=partitioning, consumer_group="all")
    assert (plan.changes.get(PARTITIONER), plan.groups) == (expected, {})


def test_without_defaults() -> None:
    """AGT-32: with SUPERSTREAM_DEFAULTS=off and nothing recommended `auto` does nothing, `lag-aware` acts."""
    assert PARTITIONER not in planned(("orders",), defaults=False).changes
    assert planned(("orders",), defaults=False, partitioning="lag-aware").changes[PARTITIONER] == "lag-aware"
    assert planned(("bare",), defaults=False, partitioning="lag-aware").changes[PARTITIONER] == "sticky"


def test_librdkafka_sticks_by_itself() -> None:
    """LAG-7: a confluent-kafka producer without a group is left as it is; with one it is steered."""
    asked = request("confluent-kafka", "consistent_random")
    assert PARTITIONER not in planned(("bare",), asked).changes
    assert planned(("orders",), asked).changes[PARTITIONER] == "lag-aware"
    assert PARTITIONER not in planned(("bare",), asked, partitioning="sticky").changes
    assert "no consumer group is named" in reason(planned(("bare",), asked, partitioning="lag-aware"))


def test_a_partitioner_of_the_programs_own_stays() -> None:
    """LAG-6: and the reason says so where a group is named."""
    plan = planned(("orders",), request(steerable=False))
    assert (PARTITIONER not in plan.changes, plan.groups) == (True, {})
    assert "the program's own partitioning stays" in reason(plan)
    assert reason(planned(("bare",), request(steerable=False))) == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "observe"},
        {"rollout_percent": 0.0},
        {"exclude_client_ids": ("app",)},
        {"exclude_topics": ("orders",)},
    ],
)
def test_whatever_keeps_a_producer_from_being_tuned_holds(settings: dict[str, Any]) -> None:
    """AGT-60, AGT-63, AGT-64: no lag-aware partitioning, and no group to read, for who is observed or excluded."""
    plan = planned(("orders",), **settings)
    assert (plan.changes, plan.groups) == ({}, {})
    assert plan.treatment is not Treatment.TUNED
    observed = [one for one in plan.reasons if one.name == PARTITIONER and one.action is Action.OBSERVED]
    assert bool(observed) == (plan.treatment is Treatment.OBSERVED)


def test_partitioning_alone_of_a_plan() -> None:
    """AGT-35: a producer that is stuck with its settings gets, and gives back, the partitioning all the same."""
    asked = request("confluent-kafka", "consistent_random")
    held = Plan({BATCH: 65536}, (), Origin.DEFAULTS, why="defaults")
    wanted = planned(("orders",), asked)
    now = rerouted(held, wanted)
    assert (now.changes, now.groups) == ({BATCH: 65536, PARTITIONER: "lag-aware"}, {"orders": "shop"})
    assert "group shop" in reason(now)
    back = rerouted(now, own_plan(asked, "excluded"))
    assert (back.changes, back.groups) == ({BATCH: 65536}, {})
    stuck = rerouted(own_plan(asked, "nothing is known yet"), wanted)
    assert (stuck.changes, stuck.treatment) == ({PARTITIONER: "lag-aware"}, Treatment.TUNED)
