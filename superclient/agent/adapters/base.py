"""What the agent asks of each library's adapter; adapters hold no policy, only translation.

The story of a producer is told once, in `agent.pipeline`. An adapter calls it from its hooks (`pipeline.open_story`
before the library's own constructor runs, `Story.finish` after), and is called back through this Protocol.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from superclient.agent.model import Counters, Plan, ProducerRequest
from superclient.kafka.connection import Connection


class Adapter(Protocol):
    """One library, as the pipeline and the heartbeat see it."""

    library: str
    """ "kafka-python", "aiokafka" or "confluent-kafka"."""

    def request(self, written: Mapping[str, Any], connection: Connection, producer: Any | None) -> ProducerRequest:
        """The producer that these native settings ask for; with the producer itself once it exists (broker version,
        made-up client id). Never mutates `written`, and keeps of it only what `redact.reportable` lets pass."""
        ...

    def retune(self, producer: Any, request: ProducerRequest, plan: Plan) -> bool:
        """Make the plan hold in a live producer: its changes, and the program's own values for everything else.

        Returns whether it holds now; False means not possible on this one (later constructions get it). Runs on the
        heartbeat's thread or the constructor's; never blocks.
        """
        ...

    def release(self, producer: Any, seconds: float) -> None:
        """The process ends: let go what waits for the linger the agent added, waiting at most `seconds`. May raise."""
        ...

    def attach(self, producer: Any, counters: Counters) -> None:
        """Let the producer's batches be counted into `counters`, holding no reference to the producer."""
        ...

    def refresh(self, counters: Counters) -> None:
        """Bring counters up to date before they are read, where counting is deferred; else nothing."""
        ...

    def awaits(self, producer: Any) -> bool:
        """Whether somebody was seen to wait for a record that an added linger held. Asked on the heartbeat's thread."""
        ...
