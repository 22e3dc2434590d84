"""What the heartbeat does when it wakes: late advice, learned topics, reports that are due, cluster by cluster.

One cluster's trouble never holds up another's: every read and write has a deadline, and a cluster that failed goes
last and waits with back-off. Nothing here is on a program's path.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from superclient._backoff import delays
from superclient.agent import log, reporter
from superclient.agent.guard import guarded
from superclient.agent.lag import Lags
from superclient.agent.metadata import MetadataStore
from superclient.agent.model import Advice, State
from superclient.agent.tracker import Tracked, Tracker
from superclient.agent.unhurried import unhurried
from superclient.errors import ClusterError
from superclient.kafka.connection import ClusterKey, Connection

DEADLINE = 5.0
LEARNING_TICK = 5.0
TENDING = 5.0  # seconds between looks at handles, once there is nothing else to do
GATHERING = 0.5  # seconds from one report to the next of a cluster: each costs a connection of our own
MAX_ATTEMPTS = 3  # to send a closed producer's last report


def _retries() -> Iterator[float]:
    return delays(5.0, 300.0)


@dataclass(slots=True)
class Cluster:
    """When one cluster's turn comes."""

    due: float
    seen: Advice | None = None
    not_before: float = 0.0
    backoff: Iterator[float] = field(default_factory=_retries)
    reported: float | None = None  # Unix time of the last report that arrived
    trouble: str = ""  # why the one after it did not

    def failed(self, now: float) -> None:
        """Leave it alone for a while, longer each time."""
        self.not_before = now + next(self.backoff)

    def succeeded(self, now: float) -> None:
        """It answers; what comes right after, as of a hundred producers in a row, waits for one next report."""
        self.not_before, self.backoff = now + GATHERING, _retries()


class Rounds:
    """The state between two beats."""

    def __init__(
        self,
        tracker: Tracker,
        store: MetadataStore,
        reconsider: Callable[[Tracked, Advice], None],
        configured: Callable[[], tuple[str, ...]],
        send: reporter.Send = reporter.send,
        lags: Lags | None = None,
    ) -> None:
        self._tracker, self._store, self._send = tracker, store, send
        self._lags = lags or Lags(5.0)
        self._reconsider, self._configured = reconsider, configured
        self._clusters: dict[ClusterKey, Cluster] = {}
        self._wound_down = False

    def beat(self) -> float | None:
        """Do what is due; the seconds until the next, or None when no producer is left."""
        groups = self._groups()
        pauses = [self._visit(self._clusters[key], group) for key, group in groups] or [1.0]
        everyone = self._tracker.everyone()
        if not everyone:
            self._clusters.clear()
            self._lags.close()
            return None
        began = time.monotonic()
        lags = self._lags.beat(everyone)
        return max(0.05, min(min(pauses) - (time.monotonic() - began), lags))

    def last_report(self, key: ClusterKey) -> tuple[float | None, str]:
        """When a cluster last acknowledged a report, as Unix time, and why a later one failed; for people to read."""
        cluster = self._clusters.get(key)
        return (cluster.reported, cluster.trouble) if cluster is not None else (None, "")

    def wind_down(self) -> float | None:
        """The agent was switched off: one last report of everything, tried once; failures are silent.

        Then None; or, as long as there are producers whose statistics must not pile up (confluent-kafka), the seconds
        until they are to be looked after again. Nothing is sent any more.
        """
        if not self._wound_down:
            self._lags.close()
            try:
                self.finish(DEADLINE * max(1, len(self._groups())))
            finally:
                self._wound_down = True
        deferring = False
        for tracked in self._tracker.everyone():
            if tracked.closed:
                self._tracker.forget(tracked)
            elif tracked.counters.source is not None:
                deferring = True
                with guarded(tracked.adapter.library, "looking after a producer"):
                    tracked.adapter.refresh(tracked.counters)
        return TENDING if deferring else None

    def finish(self, timeout: float) -> None:
        """The interpreter ends: one last report of everything, as far as the time reaches; failures are silent."""
        if self._wound_down:
            return
        end = time.monotonic() + timeout
        for key, group in self._groups():
            left = min(DEADLINE, end - time.monotonic())
            if left > 0.01 and self._store.peek(key).state is not State.UNKNOWN:
                try:
                    self._report(group, group, left)
                except ClusterError:
                    pass
        self._lags.close()

    def _groups(self) -> list[tuple[ClusterKey, list[Tracked]]]:
        groups: dict[ClusterKey, list[Tracked]] = {}
        for tracked in self._tracker.everyone():
            groups.setdefault(tracked.request.connection.key, []).append(tracked)
        for key in groups:
            if key not in self._clusters:
                interval = self._store.peek(key).interval
                self._clusters[key] = Cluster(due=time.monotonic() + interval * random.uniform(0.9, 1.1))
        for key in self._clusters.keys() - groups.keys():
            del self._clusters[key]
        return sorted(groups.items(), key=lambda item: self._clusters[item[0]].not_before)

    def _visit(self, cluster: Cluster, group: list[Tracked]) -> float:
        """One cluster's turn; the seconds until its next."""
        connection = group[0].request.connection
        now = time.monotonic()
        periodic = now >= cluster.due and now >= cluster.not_before
        advice = self._store.renew(connection, DEADLINE) if periodic else self._store.peek(connection.key)
        if periodic or advice is not cluster.seen:
            if cluster.seen is None or cluster.seen.state is not advice.state:
                cluster.due = min(cluster.due, now + advice.interval)
            cluster.seen = advice
        learning = self._reconsider_all(group, advice)
        closed = [tracked for tracked in group if tracked.closed]
        if now >= cluster.not_before and (periodic or closed or any(tracked.info_due for tracked in group)):
            self._speak(cluster, connection, group, group if periodic else closed)
        if periodic:
            cluster.due = now + advice.interval * random.uniform(0.95, 1.05)
        next_due = max(cluster.due, cluster.not_before)
        if any(tracked.info_due or tracked.closed for tracked in self._still(group)):
            next_due = max(now, cluster.not_before)
        learn = now + LEARNING_TICK if learning else next_due
        sooner = [one.counters.again for one in group if not one.closed]
        return max(0.0, min(next_due, learn, *sooner) - time.monotonic())

    def _reconsider_all(self, group: Iterable[Tracked], advice: Advice) -> bool:
        """Plan again with what is known now; whether some are still young enough to be looked at sooner."""
        young = False
        for tracked in unhurried(group):
            if tracked.closed:
                continue
            self._reconsider(tracked, advice)
            young = young or time.monotonic() - tracked.created < advice.metadata.learn_period_ms / 1000
        return young

    def _speak(self, cluster: Cluster, connection: Connection, group: list[Tracked], stats: list[Tracked]) -> None:
        ended = [one for one in stats if one.closed]  # one that ends while the report is under way has more to say
        try:
            self._report(group, stats, DEADLINE)
        except ClusterError as error:
            cluster.failed(time.monotonic())
            cause, sentence = reporter.describe(error)
            cluster.trouble = sentence
            # Whoever may not read the metadata has been told; one word on a cluster's rights is enough (AGT-43).
            log.warn_once("cluster" if cause == "rights" else "reports", (cause, connection.key), sentence)
            for tracked in ended:
                tracked.attempts += 1
            ended = [one for one in ended if one.attempts >= MAX_ATTEMPTS]
        else:
            cluster.succeeded(time.monotonic())
            cluster.reported, cluster.trouble = time.time(), ""
        for tracked in ended:
            self._tracker.forget(tracked)

    def _report(self, group: list[Tracked], stats: list[Tracked], timeout: float) -> None:
        """Send what is due of a group. Raises ClusterError; then nothing is committed."""
        chosen = {id(tracked) for tracked in stats}
        drafts = [
            reporter.Draft(
                tracked, stats=id(tracked) in chosen, configured=self._configured(), lags=self._lags.told(tracked)
            )
            for tracked in unhurried(group)
            if tracked.info_due or id(tracked) in chosen
        ]
        records = [record for draft in drafts for record in draft.records]
        if records:
            self._send(group[0].request.connection, records, timeout)
        for draft in drafts:
            draft.commit()

    def _still(self, group: Iterable[Tracked]) -> list[Tracked]:
        known = {id(tracked) for tracked in self._tracker.everyone()}
        return [tracked for tracked in group if id(tracked) in known]
