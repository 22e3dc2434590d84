"""A handle that is to take over from the one in use: made beside it, and made ready, so that the first record behind
the exchange finds a connection, its topic's leader and a producer id there.
"""

import time
from collections.abc import Iterable
from typing import Any

from superclient.agent import features
from superclient.agent.adapters.confluent import conf
from superclient.agent.adapters.confluent.handles import Family
from superclient.agent.adapters.confluent.making import Making

CONNECTING = 0.25  # seconds that the heartbeat waits for the connection
ASKING = 0.5  # seconds for its topics' leaders
RIPENING = 1.0  # seconds until it may take over: older librdkafkas get a producer id by a tick of half a second
TOPICS = 8  # whose leaders are asked for beforehand
_TICK = 0.001


class Next:
    """One such handle. Raises what the library's constructor raises."""

    def __init__(self, family: Family, making: Making) -> None:
        self.handle: Any = family.bare(making.settings)
        self.making = making
        self.since = time.monotonic()
        self._native = family.native
        self._asked = False

    @property
    def usable(self) -> bool:
        """Whether its state can be seen at all in this version of the library."""
        usable = self._native.messages(self.handle, self.making.callback) is not None
        if not usable:
            features.off(conf.LIBRARY, "producers in use", "handle of a known layout")
        return usable

    @property
    def ready(self) -> bool:
        """Whether it may take over now. A cluster that lets nobody new in keeps the handle that is in."""
        ripe = self._asked and time.monotonic() - self.since >= RIPENING
        return ripe and self._connected

    @property
    def _connected(self) -> bool:
        return self._native.connected(self.handle, self.making.callback)

    def prepare(self, topics: Iterable[str]) -> None:
        """Wait for the connection, and ask for the topics' leaders; on the heartbeat's thread, bounded."""
        if self._asked:
            return
        end = time.monotonic() + CONNECTING
        while not self._connected:
            if time.monotonic() > end:
                return
            time.sleep(_TICK)
        self._asked = True
        end = time.monotonic() + ASKING
        for topic in list(topics)[:TOPICS]:
            left = end - time.monotonic()
            if left > 0:
                try:
                    self.handle.list_topics(topic, timeout=left)
                except Exception:  # the first record will ask again
                    return
