"""How a member finds out with whom it shares a group: which request follows which reply. No I/O.

The broker's own assignment is of no use (a late member gets nothing, an old group hands out what was), but its
membership is. Each member reads it, makes sure by a heartbeat that what it read is of the generation that all agree on,
and reckons the shares itself.
"""

from collections.abc import Generator
from typing import Any, NamedTuple

from superclient.gofka.errors import GroupCoordinationError
from superclient.gofka.wire import (
    BrokerError,
    DescribeGroups,
    Heartbeat,
    JoinGroup,
    Kind,
    LeaveGroup,
    Request,
    SyncGroup,
)

_ROUNDS = 200  # changes of the membership in a row, none of which came to rest

Steps = Generator[Request[Any], Any, "Group"]
"""Yields requests; is sent the reply of each, or its BrokerError."""


class Group(NamedTuple):
    """A group as all its members see it.

    Attributes:
        generation: compare it for equality alone; it starts at 1 again when the last member has gone.
        members: id → topics that it is subscribed to.
    """

    generation: int
    members: dict[str, tuple[str, ...]]


class Member(NamedTuple):
    """One member, and what it asks of its group.

    Attributes:
        group: the group's name.
        id: unique in the world: the broker gives out none.
        client_id, host: for whoever looks at the group.
        session_ms: milliseconds without a heartbeat after which the broker forgets it.
        topics: what it is subscribed to.
    """

    group: str
    id: str
    client_id: str
    host: str
    session_ms: int
    topics: tuple[str, ...]

    def settle(self, generation: int | None = None) -> Steps:
        """What to ask until the group is known.

        Args:
            generation: the one that a heartbeat has named; None: join first (at the start, when the broker does not
                know us any more, and when the topics or their partitions have changed).

        Raises GroupCoordinationError where the broker does not do it, or the group does not come to rest.
        """
        for _ in range(_ROUNDS):
            if generation is None:
                joined = yield JoinGroup(
                    self.group, self.id, self.client_id, self.host, self.session_ms, sorted(self.topics)
                )
                generation = self._of(joined).generation
            synced = yield SyncGroup(self.group, self.id, generation)
            if isinstance(synced, BrokerError):
                generation = self.next_generation(synced)
                continue
            described = yield DescribeGroups((self.group,))
            # Only now is it known that what was read is of this generation, and that we are in it.
            beat = yield self.heartbeat(generation)
            if isinstance(beat, BrokerError):
                generation = self.next_generation(beat)
                continue
            found = [each for each in self._of(described) if each.group == self.group and not each.error]
            members = {member.id: tuple(member.topics) for each in found for member in each.members}
            if self.id in members:
                return Group(generation, members)
            generation = None
        raise GroupCoordinationError(f"the group {self.group} did not come to rest")

    def next_generation(self, error: BrokerError) -> int | None:
        """What to `settle` with after a heartbeat (or a Sync) that failed: a generation, or None: join again.

        Raises GroupCoordinationError for an error that neither answers.
        """
        if error.kind is Kind.GENERATION:
            return error.expected
        if error.kind in (Kind.MEMBER_UNKNOWN, Kind.GROUP_UNKNOWN):
            return None
        raise GroupCoordinationError(f"the group {self.group}: {error}") from error

    def heartbeat(self, generation: int) -> Heartbeat:
        """Keeps us a member; an error says that the group has changed."""
        return Heartbeat(self.group, self.id, generation)

    def leave(self) -> LeaveGroup:
        """Gives our partitions to the others at once."""
        return LeaveGroup(self.group, self.id)

    def _of(self, reply: Any) -> Any:
        if isinstance(reply, BrokerError):
            raise GroupCoordinationError(f"the group {self.group}: {reply}") from reply
        return reply
