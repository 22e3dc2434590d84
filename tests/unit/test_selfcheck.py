"""The judge of plans: what is twice as bad for long enough is withdrawn, noise is not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from superclient.agent.model import Counters
from superclient.agent.selfcheck import MIN_ANSWERS_BEFORE, TRIAL, Figures, Trial, figures


class Life:
    """A producer's figures, growing by looks that are a few seconds apart."""

    def __init__(self) -> None:
        self.now, self.total, self.trial = 1000.0, Figures(), Trial()

    def goes_on(
        self, records: int = 0, errors: int = 0, answers: int = 0, ms: float = 0.0, seconds: float = 5.0
    ) -> str:
        """So many more records, failures and answers of so many milliseconds each; what the judge says."""
        old = self.total
        self.total = Figures(
            old.records + records, old.errors + errors, old.answers + answers, old.answer_ms + answers * ms
        )
        self.now += seconds
        return self.trial.look(self.now, self.total)

    def tuned(self) -> None:
        """A plan is applied."""
        self.trial.begin(self.now, self.total)

    def until(self, said: Callable[[], str], looks: int = 50) -> str:
        """The first thing said in so many looks."""
        return next((text for _ in range(looks) if (text := said())), "")


@pytest.fixture
def life() -> Life:
    return Life()


def test_twice_the_latency_is_withdrawn(life: Life) -> None:
    """AGT-66: answers take twice as long, and longer by more than 20 ms, in three windows in a row."""
    for _ in range(10):
        assert life.goes_on(records=1000, answers=100, ms=30) == ""
    life.tuned()
    assert [life.goes_on(records=1000, answers=100, ms=65) for _ in range(3)] == [
        "",
        "",
        "brokers took 65 ms to answer, 30 ms before",
    ]


@pytest.mark.parametrize(("before", "after"), [(2, 15), (100, 190), (30, 45)])
def test_a_little_slower_is_not(life: Life, before: float, after: float) -> None:
    """AGT-66: neither a factor without milliseconds nor milliseconds without a factor."""
    life.goes_on(answers=1000, ms=before)
    life.tuned()
    assert life.until(lambda: life.goes_on(answers=1000, ms=after)) == ""


def test_a_slow_moment_is_not(life: Life) -> None:
    """AGT-66: two bad windows, of an election, say, are no three."""
    life.goes_on(answers=1000, ms=10)
    life.tuned()
    for ms in (500, 500, 10) * 10:
        assert life.goes_on(answers=100, ms=ms) == ""


def test_latency_needs_something_to_compare_with(life: Life) -> None:
    """AGT-66: a producer that was tuned at its construction, or has sent next to nothing before, is not called slow."""
    life.goes_on(answers=MIN_ANSWERS_BEFORE - 1, ms=1)
    life.tuned()
    assert life.until(lambda: life.goes_on(answers=1000, ms=5000)) == ""


def test_errors_from_the_start_are_withdrawn(life: Life) -> None:
    """AGT-66: without a window before, one percent and twenty errors are the measure."""
    life.tuned()
    assert life.until(lambda: life.goes_on(records=50, errors=50)) == "50% of its records failed"


@pytest.mark.parametrize(("records", "errors", "looks"), [(1000, 9, 500), (0, 19, 15), (100, 2, 29)])
def test_few_errors_are_not(life: Life, records: int, errors: int, looks: int) -> None:
    """AGT-66: below one percent, or too few in all for three windows."""
    life.tuned()
    assert life.until(lambda: life.goes_on(records, errors), looks) == ""


def test_errors_that_were_there_before_are_not_the_plans(life: Life) -> None:
    """AGT-66: the rate has to double."""
    for _ in range(20):
        life.goes_on(records=900, errors=100)
    life.tuned()
    assert life.until(lambda: life.goes_on(records=850, errors=150)) == ""
    assert life.until(lambda: life.goes_on(records=700, errors=300)) == "30% of its records failed, 10.0% before"


def test_what_happens_later_is_not_the_plans(life: Life) -> None:
    """AGT-66: after an hour the trial is over; what a plan is compared with is no older than two."""
    life.goes_on(answers=1000, ms=10)
    life.tuned()
    assert life.goes_on(answers=1000, ms=10, seconds=TRIAL) == ""
    assert life.until(lambda: life.goes_on(500, 500, answers=100, ms=5000)) == ""
    for _ in range(4):
        life.goes_on(answers=1000, ms=500, seconds=TRIAL * 1.1)
    life.tuned()
    assert life.until(lambda: life.goes_on(answers=100, ms=600)) == ""


def test_a_plan_that_was_soon_another(life: Life) -> None:
    """AGT-66: learned topics change a plan within seconds: the second is compared with what was before both."""
    life.goes_on(records=1000, answers=1000, ms=10)
    life.tuned()
    life.goes_on(records=50, answers=50, ms=200)
    life.tuned()
    assert life.until(lambda: life.goes_on(records=100, answers=100, ms=200)).endswith(", 10 ms before")


def test_the_programs_own_settings_are_not_on_trial(life: Life) -> None:
    """AGT-66: nor is there anything to withdraw once a plan was taken back."""
    assert life.until(lambda: life.goes_on(errors=100)) == ""
    life.tuned()
    life.trial.end(life.now, life.total)
    assert life.until(lambda: life.goes_on(errors=100)) == ""


@pytest.mark.parametrize("seed", range(20))
def test_stationary_noise_never_withdraws(seed: int) -> None:
    """AGT-66: heavy-tailed latencies and errors that come as they always did, over an hour of trial."""
    chance, life = random.Random(seed), Life()
    scale, rate = chance.choice([5.0, 40.0, 200.0]), chance.choice([0.0, 0.001, 0.01, 0.05, 0.3])
    volume = chance.choice([20, 100, 200])

    def said() -> str:
        errors = sum(chance.random() < rate for _ in range(volume))
        answers = max(1, volume // 4)
        ms = sum(scale * chance.lognormvariate(0, 1.2) for _ in range(answers)) / answers
        return life.goes_on(volume - errors, errors, answers, ms)

    assert life.until(said, chance.choice([30, 300])) == ""
    life.tuned()
    if life.total.tried < 1000 and rate >= 0.01:
        return  # no window before: its errors are taken for the plan's
    assert life.until(said, 300) == ""


def test_figures_of_counters() -> None:
    """AGT-66: the sums over topics and brokers."""
    counters = Counters(errors=3)
    counters.topic("a").records, counters.topic("b").records = 5, 6
    counters.node("1").latencies, counters.node("1").latency_ms = 2, 30.0
    assert figures(counters) == Figures(11, 3, 2, 30.0)
    assert figures(counters).latency == 15.0
