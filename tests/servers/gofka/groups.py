"""The group coordinator of the broker double: generations, members, its sticky assignment, expiry.

Nothing here is better than in the real one: a late member gets nothing, a member that asks is told ids without topics,
and a group that is older than 60 s calls itself stable before anybody shared its partitions out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.servers.gofka.errors import Refused

if TYPE_CHECKING:
    from tests.servers.gofka.state import State


@dataclass
class Member:
    id: str
    group: str
    client_id: str
    host: str
    session_s: float
    topics: list[str]
    last_sign: float
    """When it joined or sent a heartbeat, in the broker's seconds."""


@dataclass
class Group:
    id: str
    created: float
    generation: int = 0
    leader: str = ""
    stable: bool = True
    members: dict[str, Member] = field(default_factory=dict)
    assignments: dict[str, list[int]] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return "stable" if self.stable else "preparing_rebalance"

    def change(self) -> None:
        self.stable = False
        self.generation += 1


class Groups:
    """All groups of one broker. Refusals are `Refused` with the broker's text, prefix apart."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.by_id: dict[str, Group] = {}
        self.members: dict[str, Member] = {}
        """By id alone, over all groups: one id in two groups is forgotten in the first, and never expires there."""
        self.previous: dict[str, dict[str, list[int]]] = {}
        self._ticked = state.now()

    def join(
        self, group_id: str, member_id: str, client_id: str, host: str, session_ms: int, topics: list[str]
    ) -> Group:
        now = self._state.now()
        group = self.by_id.setdefault(group_id, Group(group_id, now))
        member = Member(member_id, group_id, client_id, host, session_ms / 1000, topics, now)
        self.members[member_id] = group.members[member_id] = member
        if len(group.members) == 1:
            group.leader = member_id
        if group.stable:  # while one change is pending a further Join changes nothing
            group.change()
        return group

    def leave(self, group_id: str, member_id: str) -> None:
        group = self._group(group_id)
        group.members.pop(member_id, None)
        self.members.pop(member_id, None)
        if not group.members:
            del self.by_id[group_id]
            return
        if group.leader == member_id:
            group.leader = self._state.ordered(sorted(group.members))[0]
        group.change()  # also for a member that it never had

    def sync(self, group_id: str, member_id: str, generation: int) -> tuple[list[int], int]:
        group = self._group(group_id)
        self._check_generation(group, generation)
        if not group.stable:
            group.assignments = self._share_out(group)
            group.stable = True
        return group.assignments.get(member_id, []), group.generation

    def heartbeat(self, group_id: str, member_id: str, generation: int) -> None:
        group = self._group(group_id)
        self._check_generation(group, generation)
        if member_id not in group.members:
            raise Refused(f"member {member_id} not found in group {group_id}")
        group.members[member_id].last_sign = self._state.now()

    def tick(self) -> None:
        """What the broker does by itself, as often as time has passed for."""
        now, options = self._state.now(), self._state.options
        if now - self._ticked >= options.expiry_tick_s:
            self._ticked = now - (now - self._ticked) % options.expiry_tick_s
            for member in list(self.members.values()):
                if self._ticked - member.last_sign > member.session_s and member.group in self.by_id:
                    self.leave(member.group, member.id)
        for group in self.by_id.values():
            if not group.stable and now - group.created > options.rebalance_timeout_s:
                group.stable = True  # with the assignments of before: the age is counted from the first Join

    def restart(self, *, keep: bool) -> None:
        """`keep`: after an orderly end the groups are there again, without their members."""
        self.members.clear()
        if not keep:
            self.by_id.clear()
            self.previous.clear()
        for group in self.by_id.values():
            group.members.clear()
            group.stable = True
        self._ticked = self._state.now()

    def _group(self, group_id: str) -> Group:
        if group_id not in self.by_id:
            raise Refused(f"group {group_id} not found")
        return self.by_id[group_id]

    @staticmethod
    def _check_generation(group: Group, generation: int) -> None:
        if group.generation != generation:
            raise Refused(f"generation mismatch: expected {group.generation}, got {generation}")

    def _share_out(self, group: Group) -> dict[str, list[int]]:
        """Who had some keeps them all, so that only what nobody has is shared evenly; ids of two topics mix."""
        topics = dict.fromkeys(topic for member in group.members.values() for topic in member.topics)
        every = [p for topic in topics for p in self._state.ordered(range(self._state.topics.get(topic, 0)))]
        shares: dict[str, list[int]] = {member: [] for member in group.members}
        if not every or not shares:
            return shares
        taken: set[int] = set()
        for member, had in self.previous.get(group.id, {}).items():
            if member in shares:
                shares[member] = [p for p in dict.fromkeys(had) if p in every and p not in taken]
                taken.update(shares[member])
        free = [p for p in every if p not in taken]
        target, extra = divmod(len(every), len(shares))
        for n, member in enumerate(sorted(self._state.ordered(sorted(shares)), key=lambda m: len(shares[m]))):
            wanted = max(target + (n < extra) - len(shares[member]), 0)
            shares[member] += free[:wanted]
            free = free[wanted:]
        self.previous[group.id] = shares
        return shares
