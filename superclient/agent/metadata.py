"""What is known of each cluster's recommendations: fetched once, bounded, cached, remembered when out of reach.

First contact with a cluster starts one fetch on a short-lived thread, whoever and however many ask. Askers wait until
the fetch's own deadline (started + SUPERSTREAM_METADATA_TIMEOUT_MS), so a cluster can cost a program that wait once,
not once per producer. What comes later is kept, and told to whoever registered for it.
"""

import threading
import time
from collections.abc import Callable

from superclient import contract
from superclient.agent import log
from superclient.agent.model import Advice, State
from superclient.errors import ClusterError, ContractError, NotAuthorized
from superclient.kafka import face
from superclient.kafka.connection import ClusterKey, Connection, Found

FETCH_DEADLINE = 5.0
FIRST_DEADLINE = 15.0  # of a first fetch, which holds up nobody: a cluster far away may need that long
RENEWAL_SLACK = 1.1  # the heartbeat renews by the interval, give or take: a producer made in between need not ask


NOT_YET = Advice(State.UNKNOWN, "the metadata has not arrived yet")


def fetch(connection: Connection, timeout: float = FETCH_DEADLINE) -> Advice:
    """Read the metadata now, blocking up to `timeout` seconds; every failure is an Advice, none an exception."""
    try:
        return _read(connection, timeout)
    except ContractError as error:
        log.warn_once("metadata", str(error), f"{error}; producers keep their own configuration")
        why = str(error)
    except NotAuthorized as error:
        log.warn_once("cluster", ("rights", connection.key), f"no right to read {contract.METADATA_TOPIC}: {error}")
        why = f"no right to read {contract.METADATA_TOPIC}"
    except ClusterError as error:
        why = f"{contract.METADATA_TOPIC} could not be read: {error}"
    except Exception as error:  # a library that fails in a way its face did not foresee
        log.failure("metadata", "reading the metadata", error)
        why = f"{contract.METADATA_TOPIC} could not be read: {type(error).__name__}"
    return Advice(State.UNKNOWN, why)


def _read(connection: Connection, timeout: float) -> Advice:
    last = face(connection.library).last_record(connection, contract.METADATA_TOPIC, timeout)
    if last.found is Found.NO_TOPIC:
        return Advice(State.ABSENT, f"the cluster has no topic {contract.METADATA_TOPIC}")
    if last.found is Found.EMPTY:
        return Advice(State.ABSENT, f"{contract.METADATA_TOPIC} is empty")
    return Advice(State.KNOWN, "read", contract.parse_metadata(last.value))


class Entry:
    """One cluster's advice, while it is being fetched and after."""

    def __init__(self, connection: Connection, known: Advice = NOT_YET) -> None:
        self.connection = connection
        self.started = time.monotonic()
        self.advice = known
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def settle(self, advice: Advice) -> None:
        """Keep what was found, from now on; wakes whoever waits. A cluster that is away takes back nothing it said."""
        with self._lock:
            if advice.state is not State.UNKNOWN or self.advice.state is State.UNKNOWN:
                self.advice = advice
            self.started = time.monotonic()
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    @property
    def settled(self) -> bool:
        """Whether a first answer has come, good or bad."""
        return self._done.is_set()

    @property
    def fresh(self) -> bool:
        """Whether the advice, or the fetch under way, still counts."""
        age = time.monotonic() - self.started
        if not self.settled:
            return age < FIRST_DEADLINE * 2
        return age < self.advice.interval * (1 if self.advice.state is State.UNKNOWN else RENEWAL_SLACK)

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back once, on the fetching thread, or at once where the answer is there."""
        with self._lock:
            if not self._done.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def _left(self, timeout: float) -> float:
        return max(0.0, self.started + timeout - time.monotonic())

    def wait(self, timeout: float) -> Advice:
        """The advice, after at most `timeout` seconds from the start of the fetch."""
        if not self.settled:
            self._done.wait(self._left(timeout))
        return self.advice

    async def wait_async(self, timeout: float) -> Advice:
        """The same, on an event loop, which is free meanwhile."""
        if not self.settled and self._left(timeout) > 0:
            import asyncio  # only programs with a loop come here

            loop = asyncio.get_running_loop()
            answered = asyncio.Event()

            def wake() -> None:
                try:
                    loop.call_soon_threadsafe(answered.set)
                except RuntimeError:  # the loop was closed before the answer came: nobody waits any more
                    pass

            self.when_settled(wake)
            try:
                await asyncio.wait_for(answered.wait(), self._left(timeout))
            except (TimeoutError, asyncio.TimeoutError):
                pass
        return self.advice


class MetadataStore:
    """Advice by cluster, of this process."""

    def __init__(self, fetcher: Callable[[Connection, float], Advice] = fetch) -> None:
        self._fetch = fetcher
        self._entries: dict[ClusterKey, Entry] = {}
        self._lock = threading.Lock()

    def ask(self, connection: Connection) -> Entry:
        """The cluster's entry; starts a fetch when nothing fresh is known and none is under way. Never blocks."""
        with self._lock:
            entry = self._entries.get(connection.key)
            if entry is not None and entry.fresh:
                return entry
            entry = self._entries[connection.key] = Entry(connection, self.peek(connection.key))
        threading.Thread(target=self._first, args=(entry,), name="superclient-fetch", daemon=True).start()
        return entry

    def peek(self, key: ClusterKey) -> Advice:
        """What is known now, without asking anyone."""
        entry = self._entries.get(key)
        return entry.advice if entry is not None else NOT_YET

    def renew(self, connection: Connection, timeout: float = FETCH_DEADLINE) -> Advice:
        """Read again, on the calling thread. What was known stays when the cluster is out of reach for a while."""
        advice = self._fetch(connection, timeout)
        with self._lock:
            entry = self._entries.setdefault(connection.key, Entry(connection))
        entry.settle(advice)
        return entry.advice

    def _first(self, entry: Entry) -> None:
        advice = NOT_YET
        try:
            advice = self._fetch(entry.connection, FIRST_DEADLINE)
        finally:
            entry.settle(advice)

    def after_fork_in_child(self) -> None:
        """Forget fetches whose thread stayed in the parent, and locks it may have held."""
        self._lock = threading.Lock()
        self._entries = {key: entry for key, entry in self._entries.items() if entry.settled}
        for entry in self._entries.values():
            entry._lock = threading.Lock()
