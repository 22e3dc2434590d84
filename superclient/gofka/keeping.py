"""A consumer's place in its group: joined, kept by heartbeats, shared out anew whenever the membership changes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from superclient.gofka.assignment import Place, Strategy
from superclient.gofka.cluster import Cluster
from superclient.gofka.errors import ConnectionError, GofkaError, MetadataError  # noqa: A004
from superclient.gofka.membership import Group, Member
from superclient.gofka.wire import BrokerError, Metadata

_LOOK = 5.0  # seconds between two looks at the topics: one that grows changes no generation
_PAUSES = (0.1, 2.0)  # seconds before it is tried again, at first and at most


class Keeper:
    """Runs as one task; tells its owner what it has, and what keeps it from that.

    Args:
        share: called with the places that are ours; returns once they are positioned and read.
        give_back: stop reading, and commit.
        failed: called with what went wrong, before it is tried again.
    """

    def __init__(
        self,
        cluster: Cluster,
        member: Member,
        strategy: Strategy,
        share: Callable[[Sequence[Place]], Awaitable[None]],
        give_back: Callable[[], Awaitable[None]],
        failed: Callable[[GofkaError], None],
    ) -> None:
        self._cluster = cluster
        self._member = member
        self._strategy = strategy
        self._share = share
        self._give_back = give_back
        self._failed = failed
        self._limit = member.session_ms / 1000  # no request of a group may take longer than the broker remembers us
        self._joined = False

    async def run(self) -> None:
        """Stay a member, for ever."""
        generation: int | None = None
        pause = _PAUSES[0]
        while True:
            try:
                group = await self._settled(generation)
                counts = await self._counts(group)
                await self._share(self._strategy(group.members, counts)[self._member.id])
                pause = _PAUSES[0]
                generation = await self._changed(group, counts)
            except GofkaError as error:
                self._failed(error)
                generation = None
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSES[1])
            finally:
                await self._give_back()

    async def leave(self) -> None:
        """Give the partitions to the others at once, if the broker can be told."""
        if self._joined:
            try:
                await self._asked(self._member.leave())
            except GofkaError:
                pass  # it forgets us by itself

    async def _settled(self, generation: int | None) -> Group:
        steps = self._member.settle(generation)
        request = next(steps)
        while True:
            answer = await self._answer(request)
            self._joined = True
            try:
                request = steps.send(answer)
            except StopIteration as end:
                group: Group = end.value
                return group

    async def _changed(self, group: Group, counts: dict[str, int]) -> int | None:
        """Heartbeats until the group or its topics change; the generation to settle with."""
        loop = asyncio.get_running_loop()
        look = loop.time() + _LOOK
        while True:
            await asyncio.sleep(self._limit / 3)
            answer = await self._answer(self._member.heartbeat(group.generation))
            if isinstance(answer, BrokerError):
                return self._member.next_generation(answer)
            if loop.time() >= look:
                look = loop.time() + _LOOK
                if await self._counts(group) != counts:
                    return None

    async def _counts(self, group: Group) -> dict[str, int]:
        """Partitions of each topic that any member is subscribed to; MetadataError where one of ours is unknown."""
        topics = sorted({topic for subscribed in group.members.values() for topic in subscribed})
        reply = await self._asked(Metadata(topics))
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

    async def _asked(self, request: Any) -> Any:
        try:
            return await self._cluster.request(request, timeout=self._limit)
        except ConnectionError as error:
            raise ConnectionError(f"the group {self._member.group}: {error}") from error
