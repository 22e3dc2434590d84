"""Which member of a group owns which partition: every member reckons it, and all come to the same. No I/O."""

from collections.abc import Callable, Collection, Mapping
from itertools import cycle

Place = tuple[str, int]
"""A topic and the number of a partition."""

Strategy = Callable[[Mapping[str, Collection[str]], Mapping[str, int]], dict[str, list[Place]]]


def by_range(members: Mapping[str, Collection[str]], partitions: Mapping[str, int]) -> dict[str, list[Place]]:
    """Neighbouring partitions of each topic for each member, the first having one more where it does not divide.

    Args:
        members: id → topics that the member is subscribed to.
        partitions: topic → how many it has.

    Returns id → what it owns; each partition of a topic that somebody is subscribed to has one owner. After Kafka's
    RangeAssignor.
    """
    owned: dict[str, list[Place]] = {member: [] for member in members}
    for topic, subscribed in _subscribers(members, partitions).items():
        share, more = divmod(partitions[topic], len(subscribed))
        first = 0
        for rank, member in enumerate(subscribed):
            count = share + (rank < more)
            owned[member] += [(topic, number) for number in range(first, first + count)]
            first += count
    return owned


def by_turns(members: Mapping[str, Collection[str]], partitions: Mapping[str, int]) -> dict[str, list[Place]]:
    """One partition after the other to one member after the other, over all topics; arguments as of `by_range`.

    A member that is not subscribed to a topic is passed over. After Kafka's RoundRobinAssignor.
    """
    owned: dict[str, list[Place]] = {member: [] for member in members}
    turns = cycle(sorted(members))
    for topic, subscribed in _subscribers(members, partitions).items():
        for number in range(partitions[topic]):
            owner = next(member for member in turns if member in subscribed)
            owned[owner].append((topic, number))
    return owned


STRATEGIES: dict[str, Strategy] = {"range": by_range, "roundrobin": by_turns}


def _subscribers(members: Mapping[str, Collection[str]], partitions: Mapping[str, int]) -> dict[str, list[str]]:
    found = {topic: sorted(member for member in members if topic in members[member]) for topic in sorted(partitions)}
    return {topic: subscribed for topic, subscribed in found.items() if subscribed}
