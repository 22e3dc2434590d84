"""What groups have committed, through consumers of librdkafka's that bear a group's name and never join it.

Not through its admin client: where the asked broker answers that it does not keep the group's offsets (the first group
of a new cluster, a broker that restarts or hands over), that one ends the whole process, in every version up to 2.16
(librdkafka #5040). What handles that answer is a consumer's, and an admin client has none.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from superclient.errors import ClusterError, NotAuthorized, Unreachable
from superclient.kafka import confluent as face
from superclient.kafka.offsets.protocol import error_of

_MOST = 8  # consumers, each with threads of its own; of more groups, each reading connects some anew
_IDLE = 60.0  # seconds after which a group that is not asked about has no consumer any more
_COORDINATOR_NOT_AVAILABLE = 15
_FINDING = 0.02  # seconds of the first wait for a coordinator, which sends nothing; callbacks are served between waits
_FETCHING = 1.0  # the same for commits: each wait sends a request, so that the first should do

Commits = list[Any]
"""TopicPartitions."""


class _Bystander:
    """The consumer of one group."""

    def __init__(self, settings: Mapping[str, Any], group: str) -> None:
        from confluent_kafka.cimpl import Consumer

        own = {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "allow.auto.create.topics": False,
            "isolation.level": "read_uncommitted",  # what a transaction has not committed yet is no reason to wait
        }
        self._consumer = Consumer({**settings, **own})
        self._refusal = 0  # why we are not told who the coordinator is: the broker's error code
        self.used = time.monotonic()

    def serve(self) -> None:
        """Serve callbacks. There are no records: it has no partitions."""
        message = self._consumer.poll(0)
        error: Any = message.error() if message is not None else None
        if error is not None and error.code() > 0:
            self._refusal = error.code()

    def committed(self, partitions: Commits, seconds: float) -> Commits | int | ClusterError | None:
        """The partitions with their offsets, the broker's error code, or None after so many seconds. Without
        partitions nothing is sent, but the coordinator waited for."""
        from confluent_kafka import KafkaException

        self.used = time.monotonic()
        try:
            found: Commits = self._consumer.committed(partitions, timeout=seconds)
        except KafkaException as error:
            failure: Any = error.args[0]
        else:
            self._refusal = 0
            return found
        self.serve()
        code: int = failure.code() if failure.code() > 0 else self._refusal
        known = face._translate(failure)
        return code or (None if isinstance(known, Unreachable) else known)


class Bystanders:
    """One for each group, made when it is first asked for: looking for its coordinator creates the topic of offsets."""

    def __init__(self, settings: Mapping[str, Any], watch: face._Watch) -> None:
        self._settings, self._watch = settings, watch
        self._of: dict[str, _Bystander] = {}  # least recently used first

    def serve(self) -> None:
        """Serve callbacks, and let go of those that nobody asks for any more."""
        for group, each in list(self._of.items()):
            if time.monotonic() - each.used > _IDLE:
                del self._of[group]
            else:
                each.serve()

    def find(self, groups: Sequence[str], seconds: float) -> list[int]:
        """Of each group an error code: 0 where its coordinator is known, and connected."""
        answers = self._ask({group: [] for group in groups}, seconds, _FINDING)
        codes = {group: 0 if isinstance(answer, list) else answer for group, answer in answers.items()}
        return [code if isinstance(code := codes[group], int) else _COORDINATOR_NOT_AVAILABLE for group in groups]

    def commits(self, wanted: Mapping[str, Commits], seconds: float) -> dict[str, Commits | int | ClusterError]:
        """Of each group (group → partitions) the same partitions with offsets, or an error code, or an error."""
        return self._ask(wanted, seconds, _FETCHING)

    def close(self) -> None:
        """Without its last reference a consumer ends, at once: there is no group to leave."""
        self._of.clear()

    def _ask(
        self, wanted: Mapping[str, Commits], seconds: float, slice_: float
    ) -> dict[str, Commits | int | ClusterError]:
        """Ask all in turn, again and again: one whose coordinator hangs costs the others some time, not all of it."""
        answers: dict[str, Commits | int | ClusterError] = {}
        end = time.monotonic() + seconds
        left = seconds
        while left > 0 and (waiting := [group for group in wanted if group not in answers]):
            for number, group in enumerate(waiting):
                share = max(0.0, end - time.monotonic()) / (len(waiting) - number)
                answer = self._bystander(group).committed(wanted[group], min(slice_, share))
                if answer is not None:
                    answers[group] = answer
                if isinstance(answer, int) and isinstance(error_of(answer), NotAuthorized):
                    del self._of[group]  # it would ask for its coordinator twice a second
            self._watch.check()
            left = end - time.monotonic()
            slice_ *= 2  # one has to outlast the round trip of a cluster that is far away
        return {group: answers.get(group, Unreachable("no answer in time")) for group in wanted}

    def _bystander(self, group: str) -> _Bystander:
        found = self._of.pop(group, None)
        while found is None and len(self._of) >= _MOST:
            del self._of[next(iter(self._of))]
        self._of[group] = found or _Bystander(self._settings, group)
        return self._of[group]
