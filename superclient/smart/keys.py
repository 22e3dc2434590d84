"""Where a record with a key goes: its hash partition, or, where that one lagged when the key came first, another one.

Whatever it was, the key stays there (KSP-8): what was chosen is remembered, in this process for as many keys as the
local cache may hold, and in the shared cache, where there is one, for all processes. Nothing here waits: what the
shared cache has not told when a key comes first is chosen by a rule that comes to the same result in every process
that sees the same health.
"""

import hashlib
import math
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from superclient.partitioning import UNPLACED, View
from superclient.smart.cache.base import Cache

MOST_UNSEEN = 63
MOST_SPARED = 64
_WORD = 0xFFFFFFFF
_NONE: Mapping[bytes, Any] = {}


def murmur2(key: bytes) -> int:
    """Java's default partitioner's hash, without its sign."""
    whole = len(key) & ~3
    mixed = 0x9747B28C ^ len(key)
    for start in range(0, whole, 4):
        part = int.from_bytes(key[start : start + 4], "little") * 0x5BD1E995 & _WORD
        mixed = (mixed * 0x5BD1E995 & _WORD) ^ ((part ^ part >> 24) * 0x5BD1E995 & _WORD)
    if whole < len(key):
        mixed = (mixed ^ int.from_bytes(key[whole:], "little")) * 0x5BD1E995 & _WORD
    mixed = (mixed ^ mixed >> 13) * 0x5BD1E995 & _WORD
    return (mixed ^ mixed >> 15) & 0x7FFFFFFF


def fnv1a(key: bytes) -> int:
    """Sarama's default partitioner's hash: the absolute value of a signed one."""
    mixed = 0x811C9DC5
    for byte in key:
        mixed = (mixed ^ byte) * 0x01000193 & _WORD
    return mixed if mixed < 0x80000000 else 0x100000000 - mixed


HASHES: Mapping[str, Callable[[bytes], int]] = {
    "consistent": zlib.crc32,
    "consistent_random": zlib.crc32,
    "murmur2": murmur2,
    "murmur2_random": murmur2,
    "fnv1a": fnv1a,
    "fnv1a_random": fnv1a,
}
"""librdkafka's `partitioner` → hash; `hash % number of partitions` is the key's partition. Two have none: `random`, for
any key, and `consistent_random`, for an empty one; here they get CRC32's, since a key has to begin somewhere."""
DEFAULT_PARTITIONER = "consistent_random"


class Place:
    """Where a key is.

    Attributes:
        used: when that was last looked at, and not only taken.
        unseen: how many times it may be taken before the next look, of `given` at the last one. Asking for the time
            costs more than all the rest.
        told: when others were last told of it.
        mark: `unseen` when somebody last wanted its room: if it is another number now, the key has been used since.
    """

    __slots__ = ("given", "key", "mark", "partition", "told", "topic", "unseen", "used")

    def __init__(self, topic: str, key: bytes, partition: int, used: float) -> None:
        self.topic, self.key, self.partition = topic, key, partition
        self.used = self.told = used
        self.unseen = self.given = self.mark = 0


class Keys:
    """The partitions of keys. Asked from any thread, for every record with a key; waits for nobody.

    Attributes:
        known: topic → key → its place. In the open, because `produce` looks here for each record.
    """

    __slots__ = (
        "_clock",
        "_counts",
        "_hash",
        "_most",
        "_queue",
        "_renewal",
        "_seconds",
        "_shared",
        "_short",
        "_space",
        "_views",
        "known",
    )

    def __init__(
        self,
        views: Mapping[str, View],
        *,
        partitioner: str = DEFAULT_PARTITIONER,
        most: int = 1000,
        seconds: float = 300.0,
        shared: Cache | None = None,
        shared_seconds: float = 900.0,
        space: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember `most` keys, each until nobody used it for so many `seconds`.

        `shared` is what other processes see, under names that begin with `space`, which is one per cluster. What is in
        use is told to it again before it is forgotten there, after `shared_seconds`.
        """
        self.known: dict[str, dict[bytes, Place]] = {}
        self._queue: deque[Place] = deque()  # who is to go, the first first
        self._views, self._clock = views, clock
        self._hash = HASHES.get(partitioner, zlib.crc32)
        self._most, self._seconds, self._short = most, seconds, seconds / 100
        self._shared, self._space = shared, space
        self._renewal = shared_seconds / 4 if shared is not None else math.inf
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(len(keys) for keys in list(self.known.values()))

    def place(self, topic: str, key: str | bytes) -> int:
        """The partition for a record with this key, or UNPLACED, which remembered of a key means: its hash partition,
        whichever that is. What is no key raises something."""
        if type(key) is not bytes:
            key = _encoded(key)
        place = self.known.get(topic, _NONE).get(key)
        if place is None:
            return self._first(topic, key)
        if place.unseen > 0:
            place.unseen -= 1
            return place.partition
        now = self._clock()
        idle, place.used = now - place.used, now
        if idle > self._seconds and not place.given:  # after takes unseen, it is not known how long nobody used it
            self.forget(topic, key)
            return self._first(topic, key)
        # Twice as many as the last time, as long as those came in a hundredth of what it is remembered for.
        place.unseen = place.given = min(2 * place.given + 1, MOST_UNSEEN) if idle < self._short else 0
        place.mark = -1
        if place.partition < 0 and (count := self._count(topic)):
            place.partition = (
                self._hash(key) % count
            )  # as librdkafka did, as long as we did not know how many there are
        if now - place.told >= self._renewal:
            place.told = now
            self._tell(topic, key, place.partition)
        return place.partition

    def forget(self, topic: str, key: str | bytes) -> None:
        """Choose anew when this key comes next."""
        self.known.get(topic, {}).pop(_encoded(key), None)

    def missing(self, topic: str, key: str | bytes) -> None:
        """The key's partition does not exist: the topic was made anew with fewer."""
        self._counts.pop(topic, None)
        self.forget(topic, key)

    def _first(self, topic: str, key: bytes) -> int:
        # What another process, or this one long ago, has chosen, as far as that is known here already.
        shared = self._shared.get_nowait(self._name(topic, key), renew=True) if self._shared is not None else None
        if type(shared) is int and 0 <= shared < (self._count(topic) or shared + 1):
            partition = shared
        else:
            partition = self._chosen(topic, key)
            self._tell(topic, key, partition, first=shared is None)  # else of a topic that was larger, or nobody's
        if not self._most:
            return partition
        new = Place(topic, key, partition, self._clock())
        place = self.known.setdefault(topic, {}).setdefault(key, new)
        if place is new:
            self._queue.append(new)
            if len(self._queue) > self._most:
                self._make_room()
        return place.partition  # another thread's, if it was faster

    def _make_room(self) -> None:
        """The longest unused go; what was used since its turn came last has another one (the CLOCK of page tables)."""
        for attempt in range(MOST_SPARED):
            try:
                place = self._queue.popleft()
            except IndexError:  # other threads have made enough
                return
            if self.known.get(place.topic, _NONE).get(place.key) is not place:
                continue  # forgotten since
            if place.mark == place.unseen or attempt == MOST_SPARED - 1:
                self.forget(place.topic, place.key)
                return
            place.mark = place.unseen
            self._queue.append(place)

    def _tell(self, topic: str, key: bytes, partition: int, first: bool = True) -> None:
        """The others; where one of them was faster, with another choice, that one stays, for those to come."""
        if self._shared is not None and partition != UNPLACED:
            self._shared.set_nowait(self._name(topic, key), partition, first=first)

    def _chosen(self, topic: str, key: bytes) -> int:
        count = self._count(topic)
        if not count:
            return UNPLACED
        home = self._hash(key) % count
        view = self._views[topic]
        if home in view.healthy or not view.healthy or self._clock() >= view.until:
            return home
        # Rendezvous hashing: whoever sees the same partitions healthy comes to the same choice, and one that sees one
        # more or less mostly too.
        return max(view.healthy, key=lambda partition: zlib.crc32(key, (partition + 1) * 0x9E3779B1 & _WORD))

    def _count(self, topic: str) -> int:
        """Of partitions. A view has those that have a leader; the others are there all the same."""
        view = self._views.get(topic)
        count = self._counts.get(topic, 0)
        if view is not None and view.lags and max(view.lags) >= count:
            count = self._counts[topic] = max(view.lags) + 1
        return count

    def _name(self, topic: str, key: bytes) -> str:
        # A digest: keys may be long, binary, or nobody's business.
        return f"{self._space}:{topic}:{hashlib.blake2b(key, digest_size=16).hexdigest()}"


def _encoded(key: str | bytes) -> bytes:
    """As the library does: whatever else has a buffer, or could be made bytes of, it refuses as a key."""
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, bytes):
        return bytes(key)
    raise TypeError(f"a key is str or bytes, not {type(key).__name__}")
