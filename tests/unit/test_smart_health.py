"""What a monitor knows and when it looks: the core that thread and task share, told what time it is."""

import gc
import json
from typing import Any

import pytest

from superclient.errors import ConfigurationError, HealthCalculationError
from superclient.partitioning import Queue
from superclient.smart import collectors
from superclient.smart.collectors import KafkaAdminLagCollector, LagDataCollector
from superclient.smart.config import HealthManagerConfig
from superclient.smart.feeds import MOST_WAITING, Feed
from superclient.smart.health import IDLE, Health, cut_off, told
from superclient.smart.publishing import SKEW, VERSION, parse
from superclient.smart.rounds import AT_ONCE, MOST_LOST, Kind, Look, Outcome, Published, Rounds, Ticket


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def queues(**lags: int) -> dict[int, Queue]:
    """Of partitions p0, p1…"""
    return {int(name[1:]): Queue(lag) for name, lag in lags.items()}


def health(clock: Clock, *topics: str, **options: Any) -> Health:
    return Health(HealthManagerConfig(**options), topics or ("orders",), clock=clock)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_scores(threshold: float) -> None:
    """KSP-3: an empty queue scores 1.0, one of max_lag or more 0.0, and exactly at the threshold is healthy."""
    known = health(Clock(), health_threshold=threshold, max_lag_for_health=1000)
    edge = round((1 - threshold) * 1000)
    known.take({"orders": queues(p0=0, p1=1000, p2=5000, p3=edge, p4=edge + 1, p5=-7)}, {})
    scores = known.views["orders"].scores
    assert (scores[0], scores[1], scores[2], scores[5]) == (1.0, 0.0, 0.0, 1.0)
    assert {0, 3, 5} <= set(known.healthy("orders"))
    assert known.is_healthy("orders", 4) == (threshold == 0.0)


def test_unknown() -> None:
    """KSP-19: what is not known is not known to be healthy, by either question."""
    known = health(Clock())
    assert known.healthy("orders") == []
    assert not known.is_healthy("orders", 0)
    known.take({"orders": queues(p0=0)}, {})
    assert known.is_healthy("orders", 0)
    assert not known.is_healthy("orders", 17)
    assert not known.is_healthy("payments", 0)


def test_recovers_at_once() -> None:
    """KSP-4: one look that sees a partition caught up is enough."""
    known = health(Clock())
    known.take({"orders": queues(p0=0, p1=5000)}, {})
    assert known.healthy("orders") == [0]
    known.take({"orders": queues(p0=0, p1=0)}, {})
    assert known.healthy("orders") == [0, 1]
    assert known.views["orders"].weights[1] == known.views["orders"].weights[0]


def test_failing_does_not_last() -> None:
    """KSP-5: what was seen is used while looks fail, but not for ever; then nothing is known, and readers are told."""
    clock = Clock()
    known = health(clock, refresh_interval=30.0)
    feed = Feed("orders", lambda: None)
    known.subscribe(feed)
    known.take({"orders": queues(p0=0)}, {})
    clock.now += cut_off(HealthManagerConfig()) - 1
    known.take({}, {"orders": "nobody answers"})
    assert known.healthy("orders") == [0]
    clock.now += 2
    assert known.healthy("orders") == []
    known.take({}, {"orders": "nobody answers"})
    assert "orders" not in known.views
    assert [feed.take(), feed.take(), feed.take()] == [{0: 1.0}, {}, None]
    summary = known.summary(True, False)
    assert summary["last_error"] == summary["topics"]["orders"]["last_error"] == "nobody answers"
    assert (summary["topics"]["orders"]["failures"], summary["topics"]["orders"]["age"]) == (2, None)


def test_cache_options() -> None:
    """KSP-29: cache_ttl_seconds and cache_enabled decide for how long what was seen counts."""
    assert cut_off(HealthManagerConfig(cache_ttl_seconds=100)) == 100
    assert cut_off(HealthManagerConfig(cache_ttl_seconds=5)) == 60  # else health would lapse between two looks
    assert cut_off(HealthManagerConfig(cache_ttl_seconds=9999)) == 150  # no longer than a few refreshes
    assert cut_off(HealthManagerConfig(cache_enabled=False)) == 60
    known = health(Clock(), cache_enabled=False)
    known.take({"orders": queues(p0=0)}, {})
    known.take({}, {"orders": "nobody answers"})
    assert known.healthy("orders") == []


def test_gone_topic() -> None:
    """A topic that is not there any more is not known any more, at once."""
    known = health(Clock())
    known.take({"orders": queues(p0=0)}, {})
    known.take({"orders": {}}, {})
    assert known.views == {}
    assert "no such topic" in (known.summary(True, True)["topics"]["orders"]["last_error"] or "")


def test_met_topics_are_bounded() -> None:
    """KSP-29, KSP-32: cache_max_size topics are watched beside those that were named; idle ones make room."""
    clock = Clock()
    known = health(clock, cache_max_size=2)
    assert [known.watch(topic) for topic in ("orders", "a", "a", "b", "c")] == [False, True, False, True, False]
    assert known.topics() == ["orders", "a", "b"]
    known.take({topic: queues(p0=0) for topic in known.topics()}, {})
    clock.now += IDLE / 2
    known.watch("b")
    clock.now += IDLE / 2 + 1
    known.forget_idle()
    assert known.topics() == ["orders", "b"]
    assert set(known.views) == {"orders", "b"}
    assert known.watch("c")


def test_feeds() -> None:
    """KSP-18: every reader gets every change, once, a slow one the newest; nobody has to unsubscribe."""
    clock = Clock()
    known = health(clock)
    known.take({"orders": queues(p0=0)}, {})
    one, slow = Feed("orders", lambda: None), Feed("orders", lambda: None)
    known.subscribe(one)
    known.subscribe(slow)
    seen = []
    for lag in range(2 * MOST_WAITING):
        known.take({"orders": queues(p0=lag % 900)}, {})
        known.take({"orders": queues(p0=lag % 900)}, {})
        seen += list(iter(one.take, None))
    assert len(seen) == 2 * MOST_WAITING
    assert len(behind := list(iter(slow.take, None))) == MOST_WAITING
    assert behind[-1] == seen[-1]
    other = Feed("payments", lambda: None)
    known.subscribe(other)
    assert "payments" in known.topics()
    del other
    gc.collect()
    assert known.topics() == ["orders"]


def test_summary_is_plain() -> None:
    """KSP-19: what a person wants to see, in values that JSON has."""
    known = health(Clock(), "orders", "payments")
    known.take({"orders": queues(p0=0, p1=700, p2=20)}, {})
    summary = json.loads(json.dumps(known.summary(True, None)))
    assert (summary["mode"], summary["running"]) == ("embedded", True)
    assert (summary["healthy_partitions"], summary["total_partitions"]) == (2, 3)
    orders = summary["topics"]["orders"]
    assert (orders["healthy_partitions"], orders["min_lag"], orders["max_lag"]) == ([0, 2], 0, 700)
    assert (orders["age"], orders["source"]) == (0.0, "collector")
    assert summary["topics"]["payments"]["total"] == 0


def test_topics_are_a_list() -> None:
    """One name in place of a list would be watched letter by letter."""
    with pytest.raises(ConfigurationError, match="topics"):
        Health(HealthManagerConfig(), "orders")


# --- rounds -----------------------------------------------------------------------------------------------------------


def rounds(known: Health, **options: Any) -> Rounds:
    given = {"interval": 10.0, "timeout": 5.0, "together": False, "published": False, **options}
    return Rounds(known, given.pop("interval"), given.pop("timeout"), uniform=lambda low, high: 0.0, **given)


def good(look: Look) -> Outcome:
    return Outcome(found={topic: queues(p0=1) for topic in look.topics})


def bad(look: Look) -> Outcome:
    return Outcome(errors=dict.fromkeys(look.topics, "nobody answers"))


def test_a_round_together() -> None:
    """KSP-17: one reading is for all topics, where the collector can do that; the next comes an interval later."""
    clock = Clock()
    known = health(clock, "a", "b", "c")
    plan = rounds(known, together=True)
    (look,) = plan.due(clock.now)
    assert (look.kind, look.topics) == (Kind.TOGETHER, ("a", "b", "c"))
    plan.done(look, good(look))
    assert known.healthy("c") == [0]
    assert plan.due(clock.now) == []
    assert plan.wait(clock.now) == 10.0
    assert len(plan.due(clock.now + 10.0)) == 1


def test_one_hanging_topic_holds_up_nobody() -> None:
    """KSP-17: a topic whose call hangs is given up after the time-out, and not called again until it is back; the
    others go on as if nothing were."""
    clock = Clock()
    known = health(clock, "a", "b", refresh_interval=10.0)
    plan = rounds(known)
    a, b = plan.due(clock.now)
    plan.done(b, good(b))
    for _ in range(3):
        clock.now += 10.0
        (b,) = plan.due(clock.now)
        assert b.topics == ("b",)
        plan.done(b, good(b))
    assert known.summary(True, True)["topics"]["a"]["failures"] == 4
    assert (known.healthy("a"), known.healthy("b")) == ([], [0])
    plan.done(a, good(a))
    assert known.healthy("a") == []  # nobody knows how old that is
    clock.now += 10.0
    assert [look.topics for look in plan.due(clock.now)] == [("a",), ("b",)]


def test_calls_are_bounded() -> None:
    """A thousand topics are not a thousand threads, and a collector that hangs for ever does not gather them."""
    clock = Clock()
    known = health(clock, *(f"t{each}" for each in range(1000)))
    plan = rounds(known)
    started = 0
    for _ in range(100):
        looks = plan.due(clock.now)
        assert len(looks) <= AT_ONCE
        started += len(looks)
        clock.now += 6.0
    assert started == MOST_LOST
    assert known.summary(True, True)["topics"]["t999"]["failures"] > 0


def test_back_off() -> None:
    """LAG-2: rounds in which nothing could be read come less often, with an upper bound; the first success ends it."""
    clock = Clock()
    plan = rounds(health(clock), interval=1.0)
    waits = []
    for _ in range(7):
        (look,) = plan.due(clock.now)
        plan.done(look, bad(look))
        waits.append(plan.wait(clock.now))
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 8, 8, 8]
    (look,) = plan.due(clock.now)
    plan.done(look, good(look))
    clock.now += plan.wait(clock.now)
    (look,) = plan.due(clock.now)
    assert plan.wait(clock.now) == 1.0


def test_long_intervals_do_not_back_off() -> None:
    """A monitor that looks every half minute or less often comes back within one interval."""
    clock = Clock()
    plan = rounds(health(clock), interval=60.0)
    for _ in range(4):
        (look,) = plan.due(clock.now)
        plan.done(look, bad(look))
        assert plan.wait(clock.now) == 60.0
        clock.now += 60.0


def test_a_wish_is_for_what_is_read_from_then_on() -> None:
    """KSP-19: force_refresh is over when every topic was read by a look that began afterwards."""
    clock = Clock()
    known = health(clock, "a", "b")
    plan = rounds(known)
    a, b = plan.due(clock.now)
    plan.done(b, good(b))
    clock.now += 1.0
    answers: list[bool] = []
    plan.request(Ticket(clock.now, answers.append))
    (second,) = plan.due(clock.now)
    plan.done(second, good(second))
    plan.done(a, good(a))
    assert answers == []  # that look at a began before
    (again,) = plan.due(clock.now)
    assert again.topics == ("a",)
    plan.done(again, good(again))
    assert answers == [True]


@pytest.mark.parametrize("only", [None, "b"])
def test_a_wish_that_fails(only: str | None) -> None:
    """KSP-19: force_refresh says so when a topic that it is about could not be read, or is not watched."""
    clock = Clock()
    plan = rounds(health(clock, "a", "b"))
    answers: list[bool] = []
    plan.request(Ticket(clock.now, answers.append, only))
    plan.request(Ticket(clock.now, answers.append, "a"))
    plan.request(Ticket(clock.now, answers.append, "not watched"))
    a, _ = plan.due(clock.now)
    assert answers == [False]
    plan.done(a, good(a))
    assert answers == [False, True]
    clock.now += 5.0
    plan.due(clock.now)
    assert answers == [False, True, False]


def test_wishes_end_with_the_monitor() -> None:
    """KSP-20: nobody waits for a monitor that was stopped."""
    plan = rounds(health(Clock()))
    answers: list[bool] = []
    plan.request(Ticket(0.0, answers.append))
    plan.stop()
    assert answers == [False]


def test_published_health_comes_first() -> None:
    """KSP-22: what is published and fresh is not read from Kafka; the rest is."""
    clock = Clock()
    known = health(clock, "a", "b", refresh_interval=1.0)
    plan = rounds(known, together=True, published=True)
    (look,) = plan.due(clock.now)
    assert (look.kind, look.topics) == (Kind.PUBLISHED, ("a", "b"))
    plan.done(look, Outcome(published={"a": Published(queues(p0=0, p1=999), age=7.0, lasts=90.0)}))
    (look,) = plan.due(clock.now)
    assert (look.kind, look.topics) == (Kind.TOGETHER, ("b",))
    plan.done(look, good(look))
    assert known.healthy("a") == [0]
    topics = known.summary(True, None)["topics"]
    assert (topics["a"]["source"], topics["a"]["age"], topics["b"]["source"]) == ("published", 7.0, "collector")
    clock.now += 80.0  # the publisher's next look may be later than ours
    assert known.healthy("a") == [0]
    clock.now += 4.0
    assert known.healthy("a") == []


def test_redis_that_hangs() -> None:
    """KSP-22: a Redis that never answers delays the reading of Kafka by a moment, once, not each time."""
    clock = Clock()
    plan = rounds(health(clock), published=True)
    (look,) = plan.due(clock.now)
    clock.now += 4.0
    (next_look,) = plan.due(clock.now)
    assert next_look.kind is Kind.ALONE
    plan.done(next_look, good(next_look))
    clock.now += 10.0
    (next_look,) = plan.due(clock.now)
    assert next_look.kind is Kind.ALONE
    plan.done(next_look, good(next_look))
    plan.done(look, Outcome())
    clock.now += 10.0
    assert plan.due(clock.now)[0].kind is Kind.PUBLISHED


def test_new_topics_are_looked_at_soon() -> None:
    """A topic that is met on the way does not wait for a whole interval, nor do a hundred of them make a hundred
    rounds."""
    clock = Clock()
    known = health(clock)
    plan = rounds(known)
    plan.due(clock.now)
    known.watch("met")
    for _ in range(100):
        plan.hasten()
    assert plan.wait(clock.now) == 1.0
    assert ("met",) in [look.topics for look in plan.due(clock.now + 1.0)]


# --- collectors and what they answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, [1, 2], "lags", {0: None}, {"x": 1}, {0: float("nan")}, {0: float("inf")}])
def test_answers_that_are_no_lags(answer: object) -> None:
    """KSP-23: garbage of a collector of the user's is an error that says what it was, never a guess."""
    with pytest.raises(HealthCalculationError, match="get_lag_data"):
        collectors.lags(answer)


def test_answers_that_are_lags() -> None:
    """KSP-23: numbers of any kind, as far as they are numbers of records; negative lag is none."""
    assert collectors.lags({0: 5, "1": 7.0, 2: -3, 3: True}) == {
        0: Queue(5), 1: Queue(7), 2: Queue(0), 3: Queue(1)
    }  # fmt: skip
    assert collectors.lags({}) == {}


def test_what_is_a_collector() -> None:
    """KSP-23: two methods make one; what has none is refused by name."""

    class Mine:
        def get_lag_data(self, topic: str) -> dict[int, int]:
            return {}

        def is_healthy(self) -> bool:
            return True

    assert isinstance(Mine(), LagDataCollector)
    assert isinstance(KafkaAdminLagCollector("a:1", "g"), LagDataCollector)
    assert not isinstance(object(), LagDataCollector)
    with pytest.raises(ConfigurationError, match="get_lag_data"):
        collectors.check(object())  # type: ignore[arg-type]


def test_collector_settings() -> None:
    """KSP-24: what it takes to connect is passed on, by librdkafka's names or with underscores, and never shown."""

    def token(_: object) -> tuple[str, float]:
        return "", 0.0

    collector = KafkaAdminLagCollector(
        ["b:2", "a:1"],
        "billing",
        security_protocol="SASL_SSL",
        sasl_username="me",
        oauth_cb=token,
        **{"sasl.password": "hush", "ssl.ca.location": "/ca.pem", "linger.ms": 5, "on_delivery": print},
    )
    settings = dict(collector.connection.settings)
    assert settings == {
        "bootstrap.servers": "b:2,a:1",
        "security.protocol": "SASL_SSL",
        "sasl.username": "me",
        "sasl.password": "hush",
        "ssl.ca.location": "/ca.pem",
        "oauth_cb": token,
    }
    assert "hush" not in repr(collector)
    assert collector.is_healthy()


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"bootstrap_servers": " "}, "bootstrap_servers"),
        ({"consumer_group": ""}, "consumer_group"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"auto_offset_reset": "none"}, "auto_offset_reset"),
    ],
)
def test_collector_values(changed: dict[str, Any], name: str) -> None:
    """KSP-15: a bad value names its field."""
    with pytest.raises(ValueError, match=name):
        KafkaAdminLagCollector(**{"bootstrap_servers": "a:1", "consumer_group": "g", **changed})


def test_errors_in_one_line() -> None:
    """What is told of an error is short, on one line, and says whose it is."""
    assert told(ConfigurationError("x must be y")) == "x must be y"
    assert told(ValueError("two\nlines")) == "ValueError: two lines"
    assert told(KeyError()) == "KeyError"
    assert len(told(ValueError("x" * 10_000))) < 400


# --- what is published ------------------------------------------------------------------------------------------------

NOW = 1_700_000_000.0
VALUE: dict[str, Any] = {"version": VERSION, "time": NOW - 5, "lasts": 90.0, "lags": {"0": 3}, "scores": {"0": 0.997}}


@pytest.mark.parametrize("skew", [0.0, -600.0, 600.0])
def test_published_value(skew: float) -> None:
    """KSP-22: its age is told by what Redis has left of it, whatever the hosts' clocks say."""
    found = parse(VALUE, 85.0, NOW + skew)
    assert found == Published({0: Queue(3)}, 5.0, 90.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": VERSION + 1},
        {"version": None},
        {"time": NOW + SKEW + 1},  # the far future
        {"time": NOW - SKEW - 91},
        {"time": "now"},
        {"time": float("nan")},
        {"lasts": 0},
        {"lasts": None},
        {"lasts": 10},  # but Redis keeps it for 85 s more
        {"lags": {}},
        {"lags": [1, 2]},
        {"lags": {"0": "3"}},
        {"lags": {"0": -3}},
        {"lags": {"zero": 3}},
    ],
)
def test_published_nonsense(changed: dict[str, Any]) -> None:
    """KSP-22: another version, another shape or another time is as good as nothing."""
    assert parse({**VALUE, **changed}, 85.0, NOW) is None


@pytest.mark.parametrize("value", [None, 1, "text", [], {}])
def test_published_by_somebody_else(value: Any) -> None:
    """KSP-22: whatever lies there under our name."""
    assert parse(value, 85.0, NOW) is None
    assert parse(VALUE, None, NOW) is None  # without an end it is not ours
