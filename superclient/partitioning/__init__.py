"""Where a record without a key goes: which partition the next batch is for. Pure, standard library only.

What lives here decides; it reads no cluster, knows no library and starts nothing. Who asks, and when a batch is over,
is the business of `superclient.agent.routing`.
"""

from superclient.partitioning.base import Partitioner
from superclient.partitioning.sticky import Sticky

__all__ = ["Partitioner", "Sticky"]
