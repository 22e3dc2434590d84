"""What happens when the process ends: the program's records first, then one last report with what is left of 200 ms.

A record that the library would have sent by now, were it not for the linger that the agent added, must not be lost at
exit. So before the library's own exit handlers run, producers with an added linger are given that long to let go.
Children of multiprocessing skip atexit (up to CPython 3.12) and are covered by a Finalize.
"""

import atexit
import sys
import time

from superclient.agent.guard import guarded
from superclient.agent.heartbeat import Heartbeat
from superclient.agent.optimizer import number
from superclient.agent.rounds import Rounds
from superclient.agent.tracker import Tracked, Tracker
from superclient.kafka.vocabulary import LINGER

PATIENCE = 0.2  # seconds for the last report


class Leaving:
    """The end of this process, prepared for as producers come."""

    def __init__(self, tracker: Tracker, rounds: Rounds, heartbeat: Heartbeat) -> None:
        self._tracker, self._rounds, self._heartbeat = tracker, rounds, heartbeat
        self._reported = False
        self._finalized = False
        atexit.register(self.report)

    def expect(self, tracked: Tracked) -> None:
        """A producer was tuned. Exit handlers run last in, first out: ours must come after the library's own."""
        if added_linger(tracked) > 0:
            atexit.unregister(self.release)
            atexit.register(self.release)
        process = sys.modules.get("multiprocessing.process")
        if process is not None and not self._finalized and process.parent_process() is not None:
            from multiprocessing.util import Finalize

            Finalize(None, self._finalize, exitpriority=100)
            self._finalized = True

    def release(self) -> None:
        """Let go what lingers, each producer at most as long as the agent made it wait, and all together no longer."""
        waiting = [(tracked, added_linger(tracked)) for tracked in self._tracker.everyone() if not tracked.closed]
        end = time.monotonic() + max((seconds for _, seconds in waiting), default=0.0)
        for tracked, seconds in waiting:
            producer = tracked.ref()
            left = min(seconds, end - time.monotonic())
            if producer is not None and left > 0:
                try:
                    tracked.adapter.release(producer, left)
                except Exception:  # noqa: S110 - not delivered in time; the library's own exit handler is next
                    pass

    def report(self) -> None:
        """The last report of everything, by the heartbeat's own thread: one that does not answer holds up no exit."""
        with guarded("agent", "the last report"):
            if not self._reported and self._tracker.everyone():
                self._reported = True
                self._heartbeat.run_last(lambda: self._rounds.finish(PATIENCE), PATIENCE)

    def _finalize(self) -> None:
        self.release()
        self.report()

    def after_fork_in_child(self) -> None:
        """The child's own end is still to come."""
        self._reported = self._finalized = False


def added_linger(tracked: Tracked) -> float:
    """Seconds by which the agent raised this producer's linger."""
    planned = tracked.plan.changes.get(LINGER) if tracked.applied else None
    if planned is None:
        return 0.0
    return max(0.0, (int(planned) - (number(tracked.request.effective(LINGER)) or 0.0)) / 1000)
