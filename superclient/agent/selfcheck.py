"""Judges whether things got worse since a plan was applied (AGT-66). Pure: figures and a clock's reading go in.

A plan is on trial for its first hour. Windows of what the producer did are compared with what it did before, in the one
or two hours that came first: twice the error rate, or twice the time that a broker takes to answer. That time begins
when a batch leaves, so the linger that a plan adds is not in it. Three windows in a row have to say so, each with
enough in it: an election, a slow disk or one bad batch is no reason. A producer that was tuned when it was built did
nothing before; it is judged by its error rate alone.
"""

import math
from dataclasses import dataclass

from superclient.agent.model import Counters

TRIAL = 3600.0
"""Seconds for which a plan is looked at after it was applied."""
AGAIN = 3600.0
"""Seconds for which a plan that was withdrawn is not tried again."""
WORSE = 2.0
STRIKES = 3
MIN_RECORDS = 100  # sent or failed, of a window and of what came before
MIN_ERRORS = 20
MIN_ERROR_RATE = 0.01
MIN_ANSWERS = 100
MIN_ANSWERS_BEFORE = 200
MIN_SLOWER_MS = 20.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Records acknowledged and failed, answers to produce requests, and the milliseconds these took together."""

    records: int = 0
    errors: int = 0
    answers: int = 0
    answer_ms: float = 0.0

    def __sub__(self, earlier: "Figures") -> "Figures":
        return Figures(
            self.records - earlier.records,
            self.errors - earlier.errors,
            self.answers - earlier.answers,
            self.answer_ms - earlier.answer_ms,
        )

    @property
    def tried(self) -> int:
        """Records whose fate is known."""
        return self.records + self.errors

    @property
    def error_rate(self) -> float:
        """The share of records that failed."""
        return self.errors / self.tried if self.tried else 0.0

    @property
    def latency(self) -> float:
        """Milliseconds to an answer, on average."""
        return self.answer_ms / self.answers if self.answers else 0.0


def figures(counters: Counters) -> Figures:
    """What a producer has done so far."""
    topics, nodes = list(counters.topics.values()), list(counters.nodes.values())
    return Figures(
        sum(one.records for one in topics),
        counters.errors,
        sum(one.latencies for one in nodes),
        sum(one.latency_ms for one in nodes),
    )


def more_errors(before: Figures, window: Figures) -> bool | None:
    """Whether the error rate has doubled; None while the window has too little in it to tell."""
    if window.tried < MIN_RECORDS or (window.errors < MIN_ERRORS and window.tried < MIN_ERRORS / MIN_ERROR_RATE):
        return None
    return window.errors >= MIN_ERRORS and window.error_rate >= max(MIN_ERROR_RATE, WORSE * _at_most(before))


def slower(before: Figures, window: Figures) -> bool | None:
    """Whether answers take twice as long; None while there are too few to tell, and where there were none before."""
    if before.answers < MIN_ANSWERS_BEFORE or window.answers < MIN_ANSWERS:
        return None
    return window.latency >= max(WORSE * before.latency, before.latency + MIN_SLOWER_MS)


def _at_most(before: Figures) -> float:
    """The error rate that what was seen before speaks for: three standard deviations above it, as a count has them."""
    if before.tried < MIN_RECORDS:
        return 0.0
    return (before.errors + 3 * math.sqrt(before.errors + 1)) / before.tried


class _Windows:
    """One measure of one trial: windows that follow each other, and how many in a row were bad."""

    def __init__(self, start: Figures) -> None:
        self.start, self.strikes = start, 0

    def close(self, now: Figures, bad: bool | None) -> bool:
        """The verdict on the window since `start`, which grows on where it is None; whether it was one too many."""
        if bad is not None:
            self.start, self.strikes = now, self.strikes + 1 if bad else 0
        return self.strikes >= STRIKES


class Trial:
    """One producer's plan on trial, and what the producer did before; used on one thread at a time."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._older = self._newer = (-math.inf, Figures())
        self._before = Figures()
        self._errors = self._latency = _Windows(Figures())

    def begin(self, now: float, so_far: Figures) -> None:
        """A plan holds from now on; what the producer did until now, under another, is what it is compared with.

        Where the other one held for too short a time to tell, it is compared with what that one was.
        """
        before = so_far - self._older[1]
        if not self._running(now) or (before.tried >= MIN_RECORDS and before.answers >= MIN_ANSWERS_BEFORE):
            self._before = before
        self._older = self._newer = (now, so_far)
        self._began, self._errors, self._latency = now, _Windows(so_far), _Windows(so_far)

    def end(self, now: float, so_far: Figures) -> None:
        """The program's own settings hold from now on."""
        self._began = None
        self._older = self._newer = (now, so_far)

    def look(self, now: float, so_far: Figures) -> str:
        """Why the plan is to be withdrawn, in a phrase; "" while there is no reason, or no plan on trial."""
        if not self._running(now):
            self._remember(now, so_far)
            return ""
        before = self._before
        window = so_far - self._errors.start
        if self._errors.close(so_far, more_errors(before, window)):
            return f"{window.error_rate:.0%} of its records failed{_once(before)}"
        window = so_far - self._latency.start
        if self._latency.close(so_far, slower(before, window)):
            return f"brokers took {window.latency:.0f} ms to answer, {before.latency:.0f} ms before"
        return ""

    def _running(self, now: float) -> bool:
        return self._began is not None and now - self._began <= TRIAL

    def _remember(self, now: float, so_far: Figures) -> None:
        """What comes before the next plan is not what was last week."""
        if now - self._newer[0] > TRIAL:
            self._older, self._newer = self._newer, (now, so_far)


def _once(before: Figures) -> str:
    return f", {before.error_rate:.1%} before" if before.tried >= MIN_RECORDS else ""
