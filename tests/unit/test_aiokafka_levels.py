"""What gzip may cost an event loop: AGT-32."""

from __future__ import annotations

from typing import Any

import pytest

from superclient.agent.adapters.aiokafka import levels
from superclient.agent.adapters.aiokafka.levels import BURST, TAG, Budget, choose


class Builder:
    """A batch that remembers with which codec it was begun."""

    def __init__(self, bits: int) -> None:
        self.bits = bits


class Accumulator:
    """As much of aiokafka's as takes part."""

    _compression_type = 1

    def create_builder(self) -> Builder:
        """A new batch, with the codec of the moment."""
        return Builder(self._compression_type)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Time that moves when told."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(levels.time, "perf_counter", lambda: Clock.now)
    return Clock


def test_compressing_has_its_share_of_the_time(clock: Any) -> None:
    """AGT-32: what was saved up may be spent at once, then no more than the share."""
    budget = Budget(0.05)
    assert budget.affords()
    budget.spend(BURST + 0.01)
    assert not budget.affords()
    clock.now += 0.1
    assert not budget.affords()
    clock.now += 0.2
    assert budget.affords()
    clock.now += 1000
    assert budget.affords()
    assert budget.left == BURST


def test_batches_go_out_as_they_are_until_time_is_earned(clock: Any) -> None:
    """AGT-32: a busy producer's batches are not compressed beyond the share; none is lost, and gzip comes back."""
    accumulator = Accumulator()
    choose(accumulator, 3, 0.05)
    first = accumulator.create_builder()
    assert (first.bits, getattr(first, TAG)[0]) == (1, 3)
    getattr(first, TAG)[1].spend(1.0)
    busy = accumulator.create_builder()
    assert (busy.bits, getattr(busy, TAG, None), accumulator._compression_type) == (0, None, 1)
    clock.now += 60
    assert accumulator.create_builder().bits == 1


def test_another_choice_leaves_nothing_behind(clock: Any) -> None:
    """AGT-35: chosen anew, or no more: the builder is the library's own again."""
    accumulator = Accumulator()
    choose(accumulator, 3, 1.0)
    choose(accumulator, 5, 1.0)
    assert getattr(accumulator.create_builder(), TAG)[0] == 5
    choose(accumulator, None, 1.0)
    assert not hasattr(accumulator.create_builder(), TAG)
