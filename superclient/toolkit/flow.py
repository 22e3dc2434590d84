"""The pump of a relay: one thread that fetches all the time and shares the records out among the lanes.

It never waits for a lane, so that the group hears of us, rebalances are served and a signal is noticed while a broker
is away; room.py keeps a lane from having too much. When partitions go, what was read of them goes too, and the brokers
say where the next owner begins; only after producers had to be replaced are partitions that stayed ours read again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from superclient.errors import KafkaConsumerRetriableError, ToolkitError
from superclient.toolkit import metrics
from superclient.toolkit.carrier import Broken, Item, Producing
from superclient.toolkit.consumer import KafkaConsumer
from superclient.toolkit.ends import at_end, start_offsets, topic_partitions
from superclient.toolkit.forwarding import Target
from superclient.toolkit.lanes import Claim, Lane, Ways
from superclient.toolkit.results import RelayResult
from superclient.toolkit.room import Room

SLICE = 0.1  # seconds of one look at the group; how long a signal may go unnoticed
_LOOK = 0.25  # seconds between two looks at the ends of the partitions
_REVOKE_TIMEOUT = 30.0  # seconds that others of the group wait for a commit that is on its way
_LAST_WORDS = 5.0  # seconds for the lanes to end after one of them failed
_READ_ON_TIMEOUT = 10.0  # seconds to learn what is committed; then the group is joined anew, which asks again
_LAST_RECORDS = 100  # of a lane's buffer that are still relayed once the relay is stopped
_CHUNK_BYTES = 8_000_000  # records fetched at once, by the size of those before


class Flow:
    """One run of a relay, from the subscription to the end of the lanes.

    `stopped` answers since when (time.monotonic()) the relay is to end, None as long as it is not.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        source: str,
        target: Target,
        batch_size: int,
        linger: float,
        transaction_timeout: float,
        stopped: Callable[[], float | None],
        tell: Callable[[str, dict[str, object]], None],
        result: RelayResult,
    ) -> None:
        self._consumer, self._source, self._stopped, self._tell = consumer, source, stopped, tell
        self._changed = threading.Condition()
        self._room = Room(consumer, source, max(1000, 4 * batch_size), self._changed)
        self._ways = Ways(
            target=target,
            group_metadata=lambda: self._metadata,
            transaction_timeout=transaction_timeout,
            batch_size=batch_size,
            linger=linger,
            committed=self._committed,
            aborted=self._aborted,
            failed=self._failed,
            changed=self._changed,
        )
        self._lanes: list[Lane] = []
        self._claims: dict[int, Claim] = {}
        self._metadata: Any = b""  # the group's, as of the last fetch
        self._waiting = False  # for the producers, before anything is read
        self._settled = False  # whether the group has said what is ours
        self._average = 1000.0  # bytes of a record
        self._looked = 0.0
        self._failure: BaseException | None = None
        self.result = result

    def run(self, producers: Sequence[Producing], own: bool, renewed: bool, stop_on_empty: bool, grace: float) -> None:
        """Relay until it is stopped, or at the end of the source; a lane for each producer, closed with it if `own`.

        `renewed`: after another flow that broke off, which leaves the consumer in its group, and its producers to be
        fenced by these.

        Raises:
            ToolkitError, Broken: a lane failed, or the consumer did.
        """
        self._lanes = [Lane(n, producer, own, self._ways) for n, producer in enumerate(producers)]
        try:
            if not renewed:
                self._subscribe()
            for lane in self._lanes:
                lane.thread.start()
            if renewed:
                self._read_on()
            while self._stopped() is None and self._failure is None:
                self._look_after_lanes()
                records = self._step()
                if stop_on_empty and not records and self._finished():
                    break
        except BaseException:
            self._end(time.monotonic() + _LAST_WORDS, forget=True)
            raise
        asked = self._stopped()
        if asked is not None:
            self._tell("shutdown_requested", {"grace_period": grace})
        if self._failure is None:
            self._end((asked or time.monotonic()) + grace, forget=False)
        else:
            self._end(time.monotonic() + _LAST_WORDS, forget=True)
        if self._failure is not None:
            raise self._failure

    # --- rebalances: in the pump's thread, while it fetches

    def assigned(self, partitions: Sequence[Any]) -> None:
        """These partitions are ours from now on; each goes to the lane that has the fewest."""
        if self._waiting:
            return
        with self._changed:
            self._settled = True
            for number in sorted(one.partition for one in partitions if one.topic == self._source):
                lane = min(self._lanes, key=lambda lane: lane.claims)
                lane.claims += 1
                self._claims[number] = Claim(number, lane)

    def revoked(self, partitions: Sequence[Any], lost: bool = False) -> None:
        """They are not, once this returns: no transaction with records of theirs is open, and none will be."""
        with self._changed:
            self._settled = False
            gone = {self._claims.pop(one.partition) for one in partitions if one.partition in self._claims}
            for claim in gone:
                claim.valid = False
                claim.lane.claims -= 1
            for lane in {claim.lane for claim in gone}:
                lane.keep_valid()
            self._changed.notify_all()
            if not lost:  # else somebody has them already, and the coordinator refuses us
                self._wait_for_transactions(gone)

    def _wait_for_transactions(self, gone: set[Claim]) -> None:
        """Until none is open that has records of these partitions, or the group has waited long enough for us.

        Whatever is open then is harmless: the next owner's offsets are held back until the brokers know its end.
        """
        deadline = time.monotonic() + _REVOKE_TIMEOUT
        while any(lane.inside & gone and not lane.stuck for lane in self._lanes) and time.monotonic() < deadline:
            self._changed.wait(SLICE)

    # --- the pump

    def _subscribe(self) -> None:
        client = self._consumer.client
        if client.assignment():  # of an earlier run, or the program's: what it has read would be missing
            client.unsubscribe()
            while client.assignment():
                self._consumer.fetch(1, 0.0)
        self._consumer.subscribe([self._source])

    def _read_on(self) -> None:
        """Go back to what is committed, once the producers before these are fenced.

        The partitions stay ours: whoever leaves a group while its brokers are away is missed by it for a whole session.
        """
        self._waiting, patient_until = True, None
        while self._stopped() is None and self._failure is None:
            self._fetch(1)  # what comes is read again
            self._metadata = self._consumer.client.consumer_group_metadata()
            with self._changed:
                ready = all(lane.ready for lane in self._lanes)
            if not ready:
                continue
            patient_until = patient_until or time.monotonic() + _READ_ON_TIMEOUT
            assignment = self._consumer.client.assignment()
            offsets = start_offsets(self._consumer, self._source, [one.partition for one in assignment])
            if offsets is None and time.monotonic() < patient_until:
                continue
            self._waiting = False
            if offsets is None:
                self._subscribe()
            else:
                for number, offset in offsets.items():
                    self._consumer.seek_to_offset(self._source, offset, number)
                if assignment:
                    self.assigned(assignment)
            return

    def _step(self) -> bool:
        """Fetch once; whether there was anything."""
        if not self._room.is_there(self._lanes):
            return True
        records = self._fetch(max(1, min(self._room.most // 2, int(_CHUNK_BYTES / self._average))))
        # Here and nowhere else: asked in a second thread, the library has it wait for a gap between two fetches.
        self._metadata = self._consumer.client.consumer_group_metadata()
        if records:
            size = sum(map(len, records)) / len(records)
            self._average += (max(size, 1.0) - self._average) / 4
            with self._changed:
                for message in records:
                    claim = self._claims.get(message.partition())
                    if claim is not None and claim.expects(message):
                        claim.lane.put(claim, message)
                self._changed.notify_all()
        self._room.hold(self._lanes, self._claims.values())
        return bool(records)

    def _fetch(self, most: int) -> list[Any]:
        try:
            return self._consumer.fetch(most, SLICE, gather=False)
        except KafkaConsumerRetriableError as error:
            if error.code == "UNKNOWN_TOPIC_OR_PART":
                topic_partitions(self._consumer.client, self._source)
            return []

    def _finished(self) -> bool:
        """Whether everything is committed, and nothing more is in the source now."""
        now = time.monotonic()
        with self._changed:
            if not self._settled or not all(lane.idle for lane in self._lanes) or now - self._looked < _LOOK:
                return False
            places = {claim.partition: claim.next for claim in self._claims.values()}
        self._looked = now
        return at_end(self._consumer, self._source, places, lambda: self._stopped() is not None)

    # --- the end

    def _end(self, deadline: float, forget: bool) -> None:
        """Let the lanes finish what they have (`forget`: only what is in a transaction); rebalances go on meanwhile."""
        with self._changed:
            for lane in self._lanes:
                lane.draining = True
                # A few batches: the rest is as safe at the brokers, and whoever stops a relay waits for it.
                lane.keep_first(0 if forget else max(_LAST_RECORDS, 4 * self._ways.batch_size))
            self._changed.notify_all()
        while self._running() and time.monotonic() < deadline:
            self._serve()
        if self._running():
            with self._changed:
                for lane in self._lanes:
                    lane.ending = True
                    lane.keep_first(0)
                self._changed.notify_all()
            # A lane inside a call to the brokers notices it within half a second, or, over offsets, when it returns.
            with self._changed:
                self._changed.wait_for(lambda: not self._running(), 1.0)
        with self._changed:
            for lane in self._lanes:
                if not lane.done and lane.thread.is_alive():
                    lane.abandon()

    def _look_after_lanes(self) -> None:
        with self._changed:
            for lane in self._lanes:
                if lane.stuck:
                    self._failed(Broken("the library does not come back from sending offsets"))
                    lane.abandon()

    def _running(self) -> bool:
        return any(lane.thread.is_alive() and not lane.done and not lane.stuck for lane in self._lanes)

    def _serve(self) -> None:
        """Rebalances; records that come now are read again by whoever is next."""
        with self._changed:
            if self._changed.wait_for(lambda: not self._running(), 0.02):
                return
            claims = [claim for claim in self._claims.values() if not claim.paused]
            for claim in claims:
                claim.paused = True
        self._room.pause(claims)
        try:
            self._consumer.fetch(1, 0.0)
            self._metadata = self._consumer.client.consumer_group_metadata()
        except ToolkitError:
            pass  # the end is near anyway

    # --- what lanes say

    def _committed(self, batch: list[Item], forwarded: int, dead: int) -> None:
        with self._changed:
            found = self.result
            self.result = found._replace(
                forwarded=found.forwarded + forwarded,
                batches=found.batches + 1,
                dead_lettered=found.dead_lettered + dead,
            )
        metrics.inc("relay.batch.commit")
        metrics.inc("relay.messages.forwarded", forwarded)
        if dead:
            metrics.inc("relay.messages.dead_lettered", dead)
        more: dict[str, object] = {"dead_lettered": dead} if dead else {}
        self._tell("relay_batch_committed", {"records": forwarded, **more, **_offsets(batch)})

    def _aborted(self, batch: list[Item], reason: str) -> None:
        with self._changed:
            self.result = self.result._replace(aborted=self.result.aborted + 1)
        metrics.inc("relay.batch.abort")
        self._tell("relay_batch_aborted", {"records": len(batch), "reason": reason, **_offsets(batch)})

    def _failed(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error


def _offsets(batch: Sequence[Item]) -> dict[str, object]:
    """Partition → the first and last offset of its records in a batch."""
    found: dict[int, list[int]] = {}
    for _, message in batch:
        place = found.setdefault(message.partition(), [message.offset(), 0])
        place[1] = message.offset()
    return {"partitions": {str(number): place for number, place in sorted(found.items())}}
