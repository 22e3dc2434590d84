"""When an added linger is given back because it buys nothing."""

from __future__ import annotations

from superclient.agent.linger import MIN_BATCHES, STRIKES, Watch
from superclient.agent.model import Counters, TopicCounters


def counted(records: int, batches: int) -> Counters:
    return Counters(topics={"one": TopicCounters(records - 1, batches - 1), "two": TopicCounters(1, 1)})


def test_batches_of_one_again_and_again() -> None:
    """AGT-34: a linger that keeps expiring on nearly empty batches buys nothing; three windows in a row say so."""
    watch = Watch()
    said = [watch.look(counted(number * MIN_BATCHES, number * MIN_BATCHES)) for number in range(1, STRIKES + 1)]
    assert said == ["", "", "the linger kept expiring on batches of 1.0 records"]
    assert watch.look(counted(STRIKES * MIN_BATCHES + 1, STRIKES * MIN_BATCHES + 1)) == ""


def test_a_linger_that_gathers_records_stays() -> None:
    """AGT-34: two records a batch, a full window in between, or too few batches to tell: the linger stays."""
    watch = Watch()
    assert {watch.look(counted(2 * number * MIN_BATCHES, number * MIN_BATCHES)) for number in range(1, 20)} == {""}
    watch, records = Watch(), 0
    for number in range(1, 20):
        records += MIN_BATCHES * (5 if number % STRIKES == 0 else 1)
        assert watch.look(counted(records, number * MIN_BATCHES)) == ""
    watch = Watch()
    assert {watch.look(counted(number, number)) for number in range(1, MIN_BATCHES)} == {""}
