"""Streams of health: what each reader has still to see. No lock: a reader takes what the writer has put there."""

import weakref
from collections import deque
from collections.abc import Callable, Mapping

MOST_WAITING = 1000
"""Changes that a reader may be behind; beyond, the oldest are dropped."""


class Feed:
    """The changes of a topic's health that one reader has still to see. One writer, one reader."""

    def __init__(self, topic: str, wake: Callable[[], None]) -> None:
        """`wake` is called after each change, on the writer's thread."""
        self.topic = topic
        self.over = False
        self._wake = wake
        self._waiting: deque[Mapping[int, float]] = deque(maxlen=MOST_WAITING)
        self._seen: Mapping[int, float] | None = None

    def push(self, scores: Mapping[int, float]) -> None:
        """There is something new."""
        self._waiting.append(scores)
        self._wake()

    def end(self) -> None:
        """There will be nothing new any more."""
        self.over = True
        self._wake()

    def take(self) -> dict[int, float] | None:
        """The next change, None where there is none yet."""
        while self._waiting:
            scores = self._waiting.popleft()
            if scores != self._seen:
                self._seen = scores
                return dict(scores)
        return None


class Feeds:
    """The feeds that somebody holds, and what they were told last. One writer; `add` and `topics` are for anybody."""

    def __init__(self) -> None:
        self._told: dict[str, Mapping[int, float]] = {}
        self._feeds: list[weakref.ref[Feed]] = []

    def add(self, feed: Feed, scores: Mapping[int, float]) -> None:
        """Another reader, who begins with these."""
        self._feeds.append(weakref.ref(feed))
        if scores:
            feed.push(scores)

    def topics(self) -> set[str]:
        """What is read."""
        return {feed.topic for reference in tuple(self._feeds) if (feed := reference()) is not None}

    def tell(self, topic: str, scores: Mapping[int, float]) -> None:
        """What is known of a topic now; readers are told where it is something else than before."""
        if scores == self._told.get(topic, {}):
            return
        if scores:
            self._told[topic] = scores
        else:
            del self._told[topic]
        for reference in tuple(self._feeds):
            feed = reference()
            if feed is None:
                self._feeds.remove(reference)
            elif feed.topic == topic:
                feed.push(scores)

    def end(self) -> None:
        """The monitor stops: there is nothing more to come."""
        feeds, self._feeds = self._feeds, []
        for reference in feeds:
            feed = reference()
            if feed is not None:
                feed.end()
