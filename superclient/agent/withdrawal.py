"""Plans that made things worse, lingers that bought nothing, and whom they are kept from for an hour (AGT-66, AGT-34).

By client id, not by object: a confluent-kafka producer cannot be changed any more, but the next one can be built
without the plan, and a program that builds a producer for each job must not try it with each. Producers that share a
client id share this, those that never chose one included.
"""

import time
from collections.abc import Callable

from superclient.agent.model import ProducerRequest
from superclient.agent.selfcheck import AGAIN
from superclient.kafka.connection import ClusterKey

_MOST = 1000  # client ids to remember; made-up ones are new each time
_Key = tuple[ClusterKey, str, str]


class Withdrawals:
    """What was withdrawn in this process, until it may be tried again; no locks, each step is one of a dict's."""

    def __init__(self, what: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self._what = clock, what
        self._until: dict[_Key, tuple[float, str]] = {}

    def add(self, request: ProducerRequest, why: str) -> None:
        """From now on, producers like this one keep their own settings for an hour."""
        now = self.clock()
        for key, (until, _) in list(self._until.items()):
            if until <= now or len(self._until) >= _MOST:
                self._until.pop(key, None)
        self._until[_key(request)] = (now + AGAIN, f"{self._what}{why}")

    def holds(self, request: ProducerRequest) -> str:
        """Why a producer like this keeps its own settings for now; "" where it need not."""
        until, why = self._until.get(_key(request), (0.0, ""))
        return why if self.clock() < until else ""


def _key(request: ProducerRequest) -> _Key:
    return (request.connection.key, request.library, request.client_id)
