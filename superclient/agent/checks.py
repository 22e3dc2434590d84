"""What a live producer's figures say of its plan: that it made things worse (AGT-66), or that its linger buys nothing.

Both are remembered by client id for an hour, so that a program that builds a producer for each job does not try the
same with each.
"""

from superclient.agent import log, optimizer
from superclient.agent.model import ProducerRequest
from superclient.agent.selfcheck import figures
from superclient.agent.tracker import Tracked
from superclient.agent.withdrawal import Withdrawals
from superclient.kafka.vocabulary import LINGER


class Checks:
    """What this process has learnt so far."""

    def __init__(self) -> None:
        self.plans = Withdrawals("the plan was withdrawn: ")
        self.lingers = Withdrawals()

    def begin(self, tracked: Tracked) -> None:
        """The producer's plan holds from now on: it is on trial, where it changes anything."""
        trial = tracked.trial.begin if tracked.plan.changes else tracked.trial.end
        trial(self.plans.clock(), figures(tracked.counters))

    def look(self, tracked: Tracked) -> None:
        """Judge by what the producer has done since; a plan that made things worse is withdrawn."""
        now, so_far = self.plans.clock(), figures(tracked.counters)
        worse = tracked.trial.look(now, so_far)
        if worse:
            tracked.trial.end(now, so_far)
            self.plans.add(tracked.request, worse)
            tracked.error, tracked.info_due = f"plan withdrawn: {worse}", True
            name = f"{tracked.request.library} producer {tracked.request.client_id}"
            said = f"{name} has its own settings back for an hour, since its plan made things worse: {worse}"
            log.warn_once("selfcheck", (tracked.uid, now), said)
        elif tracked.error and not self.plans.holds(tracked.request):
            tracked.error, tracked.info_due = "", True
        if optimizer.waits_unseen(tracked.request) and tracked.applied and LINGER in tracked.plan.changes:
            futile = tracked.lingering.look(tracked.counters)
            if futile:
                self.lingers.add(tracked.request, futile)

    def against(self, request: ProducerRequest) -> tuple[str, str]:
        """Why producers like this one get no plan for now, and why no linger; "" where they do."""
        return self.plans.holds(request), self.lingers.holds(request)
