"""A consumer's place in its group: joined, kept by heartbeats, shared out anew whenever the membership changes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from superclient.gofka.assignment import Place, Strategy
from superclient.gofka.cluster import Cluster
from superclient.gofka.errors import ConnectionError, GofkaError, MetadataError, WireError  # noqa: A004
from superclient.gofka.membership import Group, Member
from superclient.gofka.wire import BrokerError, Metadata

_LOOK = 5.0  # seconds between two looks at the topics: one that grows changes no generation
_PAUSES = (0.1, 2.0)  # seconds before it is tried again, at first and at most
_BEATS = 5  # heartbeats in the time in which the broker forgets us
_BEAT = (0.05, 0.4)  # seconds between two, at least and at most: until the next one we read what may be another's


class Keeper:
    """Runs as one task; tells its owner what it has, and what keeps it from that.

    Args:
        share: read these places, which are ours.
        give_back: stop reading, and commit.
        failed: called with what went wrong, before it is tried again, and with None when that is over.
    """

    def __init__(
        self,
        cluster: Cluster,
        member: Member,
        strategy: Strategy,
        share: Callable[[Sequence[Place]], None],
        give_back: Callable[[], Awaitable[None]],
        failed: Callable[[GofkaError | None], None],
    ) -> None:
        self._cluster = cluster
        self._member = member
        self._strategy = strategy
        self._share = share
        self._give_back = give_back
        self._failed = failed
        session = member.session_ms / 1000
        self._limit = min(cluster.timeout, max(session, 1.0))  # seconds for a request; the broker forgets us after them
        self._beat = min(max(session / _BEATS, _BEAT[0]), _BEAT[1])
        self._joined = False

    async def run(self) -> None:
        """Stay a member, for ever."""
        generation: int | None = None
        pause = _PAUSES[0]
        while True:
            try:
                if generation is None:
                    await self._counts(())  # a topic that there is not must not disturb the others
                group = await self._settled(generation)
                counts = await self._counts(group.members.values())
                self._share(self._strategy(group.members, counts)[self._member.id])
                pause = _PAUSES[0]
                generation = await self._changed(group, counts)
            except GofkaError as error:
                self._failed(error)
                generation = None
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSES[1])
            await self._give_back()

    async def leave(self) -> None:
        """Give the partitions to the others at once, if the broker can be told."""
        if self._joined:
            with suppress(GofkaError):  # it forgets us by itself
                await self._asked(self._member.leave())

    async def _settled(self, generation: int | None) -> Group:
        steps = self._member.settle(generation)
        request = next(steps)
        self._joined = True  # by a request that is cancelled too
        while True:
            answer = await self._answer(request)
            try:
                request = steps.send(answer)
            except StopIteration as end:
                group: Group = end.value
                return group

    async def _changed(self, group: Group, counts: dict[str, int]) -> int | None:
        """Heartbeats until the group or its topics change; the generation to settle with.

        A connection that is lost changes nothing: the broker tells whether it still knows us.
        """
        loop = asyncio.get_running_loop()
        look, failing = loop.time() + _LOOK, False
        while True:
            await asyncio.sleep(self._beat)
            try:
                answer = await self._answer(self._member.heartbeat(group.generation))
                if isinstance(answer, BrokerError):
                    return self._member.next_generation(answer)
                if loop.time() >= look:
                    look = loop.time() + _LOOK
                    if await self._counts(group.members.values()) != counts:
                        return None
            except (ConnectionError, WireError) as error:
                failing = True
                self._failed(error)
            else:
                if failing:
                    failing = False
                    self._failed(None)

    async def _counts(self, subscriptions: Iterable[Iterable[str]]) -> dict[str, int]:
        """Partitions of our topics and of these; MetadataError where one of ours is unknown."""
        topics = sorted({*self._member.topics, *chain.from_iterable(subscriptions)})
        reply = await self._asked(Metadata(topics), twice=True)
        counts = {topic.name: len(topic.partitions) for topic in reply.topics if topic.partitions}
        missing = [topic for topic in self._member.topics if topic not in counts]
        if missing:
            raise MetadataError(f"there is no topic {', '.join(missing)}")
        return counts

    async def _answer(self, request: Any) -> Any:
        """The reply, or the broker's error."""
        try:
            return await self._asked(request)
        except BrokerError as error:
            return error

    async def _asked(self, request: Any, *, twice: bool = False) -> Any:
        ask = self._cluster.ask if twice else self._cluster.request
        try:
            return await ask(request, timeout=self._limit)
        except ConnectionError as error:
            raise type(error)(f"the group {self._member.group}: {error}") from error
