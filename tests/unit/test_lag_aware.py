"""Lag-aware choice: what makes a queue too long, what its partition gets then, and how it comes back."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.partitioning import UNPLACED, LagAware, LagState, Queue, Rules, Sticky, Turns, View, scoring

TOPIC = "orders"
TWELVE = range(12)


def queues(**lags: int) -> dict[int, Queue]:
    """p0=500 and so on; the others of twelve are empty."""
    return {partition: Queue(lags.get(f"p{partition}", 0)) for partition in TWELVE}


def spread(partitioner: LagAware, batches: int, available: Sequence[int] = TWELVE, records: int = 10) -> Counter[int]:
    """Which partitions so many batches go to."""
    given_to: Counter[int] = Counter()
    for _ in range(batches):
        partition = partitioner.choose(TOPIC, available)
        partitioner.batch_full(TOPIC, partition, records, records * 100)
        given_to[partition] += 1
    return given_to


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def aware(state: LagState, seed: int = 1) -> tuple[LagAware, Clock]:
    clock = Clock()
    return LagAware(state.views, random.Random(seed), clock), clock


def test_scores_are_linear_between_an_empty_queue_and_the_longest() -> None:
    """LAG-3: clamp(1 − lag / max_lag, 0, 1)."""
    assert [scoring.score(lag, 1000) for lag in (0, 250, 500, 1000, 5000)] == [1.0, 0.75, 0.5, 0.0, 0.0]


def test_a_queue_at_the_threshold_is_healthy() -> None:
    """LAG-3: healthy at score ≥ threshold."""
    view = LagState(Rules(max_lag=1000, threshold=0.5)).update(TOPIC, queues(p0=500, p1=501), 0.0)
    assert 0 in view.healthy
    assert 1 not in view.healthy
    assert set(view.excess) == {1}


def test_a_topic_that_lags_everywhere_is_loaded_and_not_sick() -> None:
    """LAG-3: on the relative scale a hundred thousand records everywhere are nothing special; twice as many are."""
    state = LagState()
    alike = {partition: Queue(100_000 + 500 * partition) for partition in TWELVE}
    assert not state.update(TOPIC, alike, 0.0).excess
    assert set(state.update(TOPIC, {**alike, 3: Queue(200_000)}, 5.0).excess) == {3}


def test_the_relative_scale_holds_until_half_of_the_partitions_lag() -> None:
    """LAG-3: where quartiles alone would call it the usual thing."""
    third = {partition: Queue(50_000 if partition < 4 else 200) for partition in TWELVE}
    assert set(LagState().update(TOPIC, third, 0.0).excess) == {0, 1, 2, 3}


def test_a_queue_that_is_gone_before_anybody_could_act_is_not_long() -> None:
    """LAG-3: batches that have just come, at 1,000 records a second and looks that are 10 s apart, are no reason."""
    state = LagState()
    ends = dict.fromkeys(TWELVE, 0)
    for second in (0, 10, 20):
        ends = dict.fromkeys(TWELVE, 1000 * second)
        state.update(TOPIC, {partition: Queue(5, end) for partition, end in ends.items()}, float(second))
    ends = dict.fromkeys(TWELVE, 30000)
    burst = {partition: Queue(5_900 if partition == 0 else 5, end) for partition, end in ends.items()}
    assert not state.update(TOPIC, burst, 30.0).excess
    longer = {partition: Queue(6_100 if partition == 0 else 5, end + 10_000) for partition, end in ends.items()}
    assert set(state.update(TOPIC, longer, 40.0).excess) == {0}


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_the_usual_queue_is_never_shorter_than_the_median(lags: list[int]) -> None:
    """LAG-3: so that at least half of a topic's partitions are healthy, whatever their lags are."""
    view = LagState().update(TOPIC, {partition: Queue(lag) for partition, lag in enumerate(lags)}, 0.0)
    assert 2 * len(view.healthy) >= len(lags)
    assert len(view.excess) * 2 <= len(lags)


def test_while_all_is_well_it_is_sticky_choice_for_choice() -> None:
    """LAG-4, LAG-5: the feature costs nothing when it is not needed."""
    state = LagState()
    state.update(TOPIC, queues(p3=40), 1000.0)
    partitioner, _ = aware(state, seed=7)
    sticky, chosen = Sticky(random.Random(7)), []
    for _ in range(200):
        partition = sticky.choose(TOPIC, TWELVE)
        sticky.batch_full(TOPIC, partition, 10, 1000)
        chosen.append(partition)
    assert spread(partitioner, 200) == Counter(chosen)


def test_the_longest_queue_gets_the_least_and_more_than_nothing() -> None:
    """LAG-4: a partition is not starved, however it lags, and the others get the same."""
    state = LagState()
    state.update(TOPIC, queues(p0=10**6, p1=10**7), 1000.0)
    given_to = spread(aware(state)[0], 12_000)
    assert 0 < given_to[1] < 12_000 * 0.02
    assert given_to[0] < 12_000 * 0.05
    others = [given_to[partition] for partition in range(2, 12)]
    assert max(others) < 1.1 * min(others)


def test_own_records_count_as_queue_until_the_next_view() -> None:
    """LAG-4: of two partitions that lag alike neither gets it all: the one that lags less, until it lags as much."""
    state = LagState(Rules(least=1e-9))
    state.update(TOPIC, {0: Queue(10_000), 1: Queue(10_200), 2: Queue(0), 3: Queue(0), 4: Queue(0)}, 1000.0)
    partitioner, _ = aware(state)
    given_to = spread(partitioner, 10_000, range(2))  # no other has a leader now
    assert given_to[0] - given_to[1] == pytest.approx(20, abs=2)  # 200 records, in batches of 10


def test_of_two_that_are_drawn_the_better_gets_it_and_not_the_best_of_all() -> None:
    """LAG-4: all producers see the same view; if all took the best, they would bury it."""
    state = LagState(Rules(least=1e-9))
    lags = {partition: Queue(10_000 + 100 * partition) if partition < 5 else Queue(0) for partition in TWELVE}
    state.update(TOPIC, lags, 1000.0)
    first = Counter(aware(state, seed)[0].choose(TOPIC, TWELVE) for seed in range(2000))
    assert first[0] > first[3] > 0
    assert max(first[partition] for partition in range(5, 12)) < 2000 * 2 / 12 * 1.2


def test_a_queue_that_was_too_long_is_on_probation_until_it_is_half_as_long() -> None:
    """LAG-4: hysteresis, so that a partition does not come and go with each refresh."""
    state = LagState()
    usual = {partition: Queue(20 * partition) for partition in TWELVE}  # too long is more than about 330
    assert 0 in state.update(TOPIC, {**usual, 0: Queue(900)}, 0.0).excess
    assert 0 in state.update(TOPIC, {**usual, 0: Queue(250)}, 5.0).excess
    assert 0 not in state.update(TOPIC, {**usual, 0: Queue(60)}, 10.0).excess
    assert 0 not in state.update(TOPIC, {**usual, 0: Queue(250)}, 15.0).excess


def test_who_recovers_gets_a_part_first_then_half_then_all() -> None:
    """LAG-4: half-open."""
    state = LagState(Rules(least=0.001))
    state.update(TOPIC, queues(p0=100_000), 1000.0)
    partitioner, _ = aware(state)
    shares = [spread(partitioner, 6000)[0]]
    for second in (5, 10, 15):
        state.update(TOPIC, queues(), 1000.0 + second)
        shares.append(spread(partitioner, 6000)[0])
    assert shares[0] < 20
    assert shares[1] == pytest.approx(0.25 * 500, rel=0.2)
    assert shares[2] == pytest.approx(0.5 * 500, rel=0.2)
    assert shares[3] == pytest.approx(500, rel=0.1)


def test_a_view_that_is_too_old_says_nothing() -> None:
    """LAG-4: a signal older than the cut-off falls back to plain sticky."""
    state = LagState(Rules(cut_off=30.0))
    state.update(TOPIC, queues(p0=100_000), 1000.0)
    partitioner, clock = aware(state)
    assert spread(partitioner, 1200)[0] < 20
    clock.now += 30.0
    assert spread(partitioner, 1200)[0] == pytest.approx(100, abs=20)


def test_where_nothing_is_healthy_it_is_sticky() -> None:
    """LAG-4: no healthy partition, no preference."""
    state = LagState(Rules(max_lag=10))
    state.update(TOPIC, {partition: Queue(10 + partition * 1000) for partition in TWELVE}, 1000.0)
    given_to = spread(aware(state)[0], 1200)
    assert max(given_to.values()) < 1.2 * min(given_to.values())


@given(
    st.dictionaries(st.integers(0, 30), st.integers(-5, 10**6), max_size=20),
    st.sets(st.integers(0, 40), min_size=1, max_size=20),
    st.booleans(),
    st.integers(0, 1000),
)
def test_only_what_the_library_offers(lags: Mapping[int, int], offered: set[int], strict: bool, seed: int) -> None:
    """LAG-4: never a partition that is not available, whatever the view says, of whichever partitions."""
    rules = Rules(max_lag=1000, least=0.0, probation=False) if strict else Rules()
    state = LagState(rules)
    state.update(TOPIC, {partition: Queue(lag) for partition, lag in lags.items()}, 1000.0)
    partitioner, _ = aware(state, seed)
    available = sorted(offered)
    chosen = spread(partitioner, 20, available)
    assert chosen.keys() <= offered
    healthy = state.views[TOPIC].healthy & offered
    if strict and healthy:
        assert chosen.keys() <= healthy


def test_strict_rules_give_nothing_to_who_is_not_healthy_and_all_at_once_to_who_is_again() -> None:
    """LAG-4: as SmartProducer promises it (KSP-2, KSP-4)."""
    state = LagState(Rules(max_lag=1000, least=0.0, probation=False))
    state.update(TOPIC, queues(p0=501), 1000.0)
    partitioner, _ = aware(state)
    assert spread(partitioner, 1200)[0] == 0
    assert state.views[TOPIC].weights.keys() == set(range(1, 12))
    state.update(TOPIC, queues(p0=500), 1005.0)
    assert spread(partitioner, 1200)[0] == pytest.approx(100, abs=10)


def test_weights_say_what_partitions_get() -> None:
    """LAG-8: the shares that are shown are those that are given, 1.0 being what all would get if they were alike."""
    state = LagState()
    view = state.update(TOPIC, queues(p0=10**6, p1=10**7), 1000.0)
    assert sum(view.weights.values()) == pytest.approx(12)
    given_to = spread(aware(state)[0], 48_000, records=1)
    for partition in TWELVE:
        assert given_to[partition] / 4000 == pytest.approx(view.weights[partition], abs=0.05)


def test_switches_are_counted() -> None:
    """LAG-8: how often partitions became healthy, or stopped being it; one that was not there before did neither."""
    state = LagState(Rules(max_lag=1000))
    state.update(TOPIC, queues(), 0.0)
    assert state.update(TOPIC, queues(p0=900, p1=900), 5.0).switches == 2
    assert state.update(TOPIC, {**queues(p1=900), 12: Queue(900)}, 10.0).switches == 3


def test_a_wait_is_told_by_how_fast_the_queue_is_worked_off() -> None:
    """LAG-3: lag in time; unknown where nothing moves, or where the collector knows no log end."""
    state = LagState()
    state.update(TOPIC, {0: Queue(1000, 5000), 1: Queue(50, 100), 2: Queue(7), 3: Queue(0, 10)}, 0.0)
    view = state.update(TOPIC, {0: Queue(1000, 5500), 1: Queue(50, 100), 2: Queue(7), 3: Queue(0, 10)}, 5.0)
    assert view.delays == {0: 10.0, 3: 0.0}


def test_who_is_not_there_any_more_is_forgotten() -> None:
    """LAG-2: a topic that is gone has no view, and its next life begins anew."""
    state = LagState()
    state.update(TOPIC, queues(p0=900), 0.0)
    state.forget(TOPIC)
    assert TOPIC not in state.views
    assert state.update(TOPIC, queues(), 5.0).switches == 0


def test_an_empty_topic_has_an_empty_view() -> None:
    """LAG-2: a topic none of whose partitions has a leader now."""
    view: View = LagState().update(TOPIC, {}, 0.0)
    assert not view.healthy
    assert not view.weights


class _Counting:
    def __init__(self) -> None:
        self.chosen, self.over = 0, Counter[int]()

    def choose(self, topic: str, available: Sequence[int]) -> int:
        self.chosen += 1
        return available[self.chosen % len(available)]

    def batch_full(self, topic: str, partition: int, records: int, size: int) -> None:
        self.over[records] += 1


def test_a_turn_lasts_as_long_as_a_batch() -> None:
    """LAG-5: one choice a batch: by bytes, by records, or by time, whichever is over first."""
    partitioner, clock = _Counting(), Clock()
    turns = Turns(partitioner, lambda _: TWELVE, size=1000, records=50, seconds=0.1, clock=clock)
    assert len({turns.place(TOPIC, bytes(79)) for _ in range(10)}) == 1
    turns.place(TOPIC, bytes(79))
    assert partitioner.over == {10: 1}  # 10 × (79 + 21) bytes
    for _ in range(49):
        turns.place("small", None)
    assert partitioner.over[48] == 1  # 48 × 21 bytes
    clock.now += 0.2
    before = partitioner.chosen
    for _ in range(64):  # some go by without a look at the clock
        turns.place("small", None)
    assert partitioner.chosen > before


def test_where_records_come_slowly_each_is_looked_at() -> None:
    """LAG-5: so that a turn is over when its time is."""
    partitioner, clock = _Counting(), Clock()
    turns = Turns(partitioner, lambda _: TWELVE, size=10**6, records=10**4, seconds=0.125, clock=clock)
    for _ in range(20):
        turns.place(TOPIC, None)
        clock.now += 0.0625
    assert partitioner.chosen == 10


def test_without_partitions_there_is_no_turn() -> None:
    """LAG-4: then the library chooses, as it always does, and it is looked again when a turn would be over."""
    clock, known = Clock(), list[int]()
    turns = Turns(_Counting(), lambda _: known, size=1000, records=50, seconds=0.1, clock=clock)
    assert turns.place(TOPIC, b"") == UNPLACED
    known.append(3)
    assert turns.place(TOPIC, b"") == UNPLACED
    clock.now += 0.1
    assert [turns.place(TOPIC, b"") for _ in range(3)][-1] == 3  # one may have gone by unseen
