"""Where a record without a key goes: which partition the next batch is for. Standard library only, pure but for one.

What lives here decides; it knows no library and starts nothing: `Sticky` and `LagAware` choose, `LagState` makes shares
of the queues that it is told of, and `collectors` alone reads a cluster, for whoever calls it. Who asks, and when a
batch is over, is the business of `superclient.agent.routing` and `superclient.smart`.
"""

from superclient.partitioning.base import Partitioner
from superclient.partitioning.lag_aware import LagAware
from superclient.partitioning.state import LagState, Queue, Rules, View
from superclient.partitioning.sticky import Sticky
from superclient.partitioning.turns import UNPLACED, Turns

__all__ = ["UNPLACED", "LagAware", "LagState", "Partitioner", "Queue", "Rules", "Sticky", "Turns", "View"]
