"""LAG-9, the part that no real broker could show: many producers, old signals, consumers that stop and come back.

Deterministic: `benchmarks._queues` simulates, seeded, and the choices are those of `superclient.partitioning`.
"""

from dataclasses import replace

import pytest

from benchmarks._queues import World, simulate
from benchmarks.lag_simulation import SPEED, STICKY, WHOLE, Way, flaps, healthy, loaded, slow, stops, third

BASE = World(slow)
# A quarter to half a minute of pure computing; a hundred show the same in a second or two.
A_THOUSAND = pytest.param(1000, marks=pytest.mark.matrix_full)


def both(world: World, way: Way = WHOLE) -> tuple[float, float, float, float]:
    """Longest queue and 99th percentile of waits: sticky's, then this way's."""
    one, other = simulate(world, STICKY.making), simulate(world, way.making, way.rules)
    return one.longest, other.longest, one.p99, other.p99


@pytest.mark.parametrize("producers", [1, 10, 100, A_THOUSAND])
def test_producers_do_not_herd(producers: int) -> None:
    """LAG-9: however many see the same queues, two slow consumers' queues stay short and nobody else's grows."""
    before, after, p99_before, p99_after = both(replace(BASE, producers=producers))
    assert after <= before / 5
    assert p99_after <= p99_before / 3


@pytest.mark.parametrize(("age", "part"), [(1, 8), (15, 5), (30, 3), (60, 2)])
def test_old_signals_help_less_and_never_hurt(age: float, part: float) -> None:
    """LAG-9: signals that are 1 to 60 s old."""
    before, after, p99_before, p99_after = both(replace(BASE, refresh=age, producers=10))
    assert after <= before / part
    assert p99_after <= p99_before / part


@pytest.mark.parametrize("partitions", [12, 100, A_THOUSAND])
def test_any_number_of_partitions(partitions: int) -> None:
    """LAG-9: from a dozen to a thousand."""
    before, after, p99_before, p99_after = both(replace(BASE, partitions=partitions, producers=20, seconds=60.0))
    assert after <= before / 2.5
    assert p99_after <= p99_before / 3


def test_a_consumer_that_stops_and_comes_back() -> None:
    """LAG-9: its queue does not grow while it rests, it is used again afterwards, and nobody floods it."""
    world = replace(BASE, speeds=stops)
    before, after, _, _ = both(world)
    assert after <= before / 3
    outcome = simulate(replace(world, seconds=240.0), WHOLE.making)
    fair = sum(outcome.given) / world.partitions
    assert 0.7 * fair < outcome.given[0] < fair
    assert outcome.later < 3 * SPEED  # records: seconds of one consumer's work, long after it came back


def test_a_consumer_that_flaps() -> None:
    """LAG-9: no oscillation: every half period is better than without."""
    before, after, p99_before, p99_after = both(replace(BASE, speeds=flaps))
    assert after <= before / 2
    assert p99_after <= p99_before


def test_a_third_that_is_slow() -> None:
    """LAG-9, LAG-3: more than a quarter lags, which quartiles alone would take for usual."""
    before, after, p99_before, p99_after = both(replace(BASE, speeds=third))
    assert after <= before / 3
    assert p99_after <= p99_before / 3


def test_a_topic_that_is_loaded_all_over() -> None:
    """LAG-9, LAG-3: all lag; the one that lags twice as much is relieved, the others bear it."""
    before, after, p99_before, p99_after = both(replace(BASE, speeds=loaded))
    assert after <= before / 1.5
    assert p99_after <= p99_before / 1.5


def test_where_all_are_well_it_is_next_to_sticky() -> None:
    """LAG-9, LAG-4: what costs nothing where the signal is exact may cost chance's part where commits are 5 s apart."""
    exact = replace(BASE, speeds=healthy, commit=0.05)
    one, other = simulate(exact, STICKY.making), simulate(exact, WHOLE.making)
    assert other.p99 <= 1.02 * one.p99
    world = replace(BASE, speeds=healthy, seconds=300.0)
    one, other = simulate(world, STICKY.making), simulate(world, WHOLE.making)
    assert other.mean <= 1.1 * one.mean


def test_the_same_seed_gives_the_same_figures() -> None:
    """LAG-9: deterministic; another seed is another run."""
    assert simulate(BASE, WHOLE.making) == simulate(BASE, WHOLE.making)
    assert simulate(BASE, WHOLE.making) != simulate(replace(BASE, seed=2), WHOLE.making)
