"""THE story of a producer, told once for every library: request → metadata → plan → producer → tracking.

    story = pipeline.open_story(adapter, settings)   before the library's constructor: asks for the cluster's metadata
    ...                                              the library's own constructor runs, with the program's arguments
    story.finish(producer)                           waits what is left of the deadline, plans, applies, tracks

A library whose producers can only be configured beforehand (confluent-kafka) calls `story.decide()` first and builds
with the plan. One with an asynchronous start awaits `story.finish_async()` there. Every step fails open: a story that
cannot be told is None or a warning, and the program's producer is as the program made it.
"""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from superclient import redact
from superclient import settings as settings_module
from superclient.agent import leaving, log, optimizer, rollout, routing
from superclient.agent.adapters.base import Adapter
from superclient.agent.checks import Checks
from superclient.agent.guard import fail_open, guarded
from superclient.agent.heartbeat import Heartbeat
from superclient.agent.lag import Lags, Views
from superclient.agent.metadata import Entry, MetadataStore
from superclient.agent.model import Action, Advice, Origin, Plan, ProducerRequest, Treatment
from superclient.agent.optimizer import own_plan
from superclient.agent.rounds import Rounds
from superclient.agent.tracker import Tracked, Tracker
from superclient.kafka import internal, security

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Agent:
    """The agent of this process: its settings, what it knows, whom it watches, and its one thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.settings, problems = settings_module.read(os.environ)
        log.configure(self.settings.debug)
        log.info(
            "agent",
            "Superstream Agent initialized with environment variables: "
            f"{redact.environment(settings_module.detected(os.environ))}",
        )
        for problem in problems:
            log.warn_once("settings", str(problem), str(problem))
        self.deactivated = False
        self.checks = Checks()
        self.store = MetadataStore()
        self.tracker = Tracker(on_gone=self._wake)
        self.lags = Lags(self.settings.lag_interval_ms / 1000)
        self.rounds = Rounds(self.tracker, self.store, reconsider, lambda: self.settings.topics_list, lags=self.lags)
        self.heartbeat = Heartbeat(self._beat)
        self.leaving = leaving.Leaving(self.tracker, self.rounds, self.heartbeat)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self.heartbeat.stop, after_in_child=self.in_child)

    def _wake(self) -> None:
        self.heartbeat.wake()

    def _beat(self) -> float | None:
        if not self.deactivated:
            return self.rounds.beat()
        for tracked in self.tracker.everyone():
            _give_back(tracked)  # also where another thread was about to apply a plan
        pause = self.rounds.wind_down()
        self.heartbeat.over = pause is None
        return pause

    def deactivate(self) -> None:
        """Give every live producer its own settings back, for good; see `superclient.deactivate`."""
        self.deactivated = True
        self.lags.forget()
        for tracked in self.tracker.everyone():
            if tracked.counters.source is None:  # else it may take a new handle, which is the one thread's work
                _give_back(tracked)
        if self.tracker.everyone():
            self.heartbeat.wake()
            self.heartbeat.ensure()

    def in_child(self) -> None:
        """A fork made this process: forget what belongs to the parent, and locks that its threads may have held."""
        self.pid = os.getpid()
        for part in (log, self.store, self.tracker, self.heartbeat, self.lags, self.leaving):
            part.after_fork_in_child()


DEACTIVATED = "superclient.deactivate() was called"
_agent: Agent | None = None
_agent_lock = threading.Lock()


def agent() -> Agent:
    """The process's agent, made when the program first imports a Kafka library."""
    global _agent
    if _agent is None:
        with _agent_lock:
            if _agent is None:
                _agent = Agent()
    if _agent.pid != os.getpid():  # uWSGI forks without calling the hooks of os.fork
        _agent.in_child()
    return _agent


def watches(library: str) -> bool:
    """Whether the agent is to patch this library; says hello the first time it is asked."""
    return library not in agent().settings.disabled_libraries and not agent().deactivated


def existing() -> Agent | None:
    """The process's agent, where a Kafka library was imported; None else, and none is made."""
    return agent() if _agent is not None else None


class Story:
    """One producer, from before its constructor to its registration."""

    def __init__(self, adapter: Adapter, written: Mapping[str, Any]) -> None:
        self.adapter = adapter
        self.written = written
        self.connection = security.connection(adapter.library, written, written.get("loop") or _running_loop())
        self.entry: Entry = agent().store.ask(self.connection)

    def _request(self, producer: Any | None) -> ProducerRequest:
        return self.adapter.request(self.written, self.connection, producer)

    def _patience(self) -> float:
        # A constructor called on a thread with a running event loop must not block it.
        return 0.0 if _running_loop() is not None else agent().settings.metadata_timeout_ms / 1000

    def decide(self) -> Plan:
        """The plan for a producer that is still to be built; waits at most what is left of the metadata's deadline."""
        return _planned(self._request(None), frozenset(), self.entry.wait(self._patience()))

    def finish(self, producer: Any, built: Plan | None = None) -> None:
        """Plan for a producer that exists, make it hold, and track it; `built` is a plan it was already built with."""
        with guarded(self.adapter.library, "setting a producer up"):
            advice = self.entry.advice if built else self.entry.wait(self._patience())
            self._settle(producer, advice, built)

    async def finish_async(self, producer: Any) -> None:
        """The same where a producer starts on an event loop, which is free while the metadata is awaited."""
        if agent().deactivated:
            return
        with guarded(self.adapter.library, "setting a producer up"):
            advice = await self.entry.wait_async(agent().settings.metadata_timeout_ms / 1000)
            self._settle(producer, advice, None)

    def _settle(self, producer: Any, advice: Advice, built: Plan | None) -> None:
        request = self._request(producer)
        tracked = Tracked(self.adapter, request, built or _planned(request, frozenset(), advice))
        self.adapter.attach(producer, tracked.counters)
        held = self.adapter.retune(producer, request, tracked.plan)  # built with it or not: partitioning is live
        tracked.applied = built is not None or held
        if tracked.applied:
            agent().checks.begin(tracked)
        _say(tracked)
        agent().tracker.add(tracked, producer)
        agent().leaving.expect(tracked)
        if not self.entry.settled:
            self.entry.when_settled(agent().heartbeat.wake)
        agent().heartbeat.wake()
        agent().heartbeat.ensure()


@fail_open("agent", "looking at a new producer")
def open_story(adapter: Adapter, written: Mapping[str, Any], client_id: object = None) -> Story | None:
    """The story of a producer that is about to be built with these native settings; None for one to leave alone."""
    return None if internal.is_internal(client_id) or agent().deactivated else Story(adapter, written)


def reconsider(tracked: Tracked, advice: Advice) -> None:
    """Plan again with what is known now, and make a changed plan hold in the live producer."""
    producer = tracked.ref()
    if producer is None:
        return
    awaits = False
    with guarded(tracked.adapter.library, "reading a producer's counters"):
        tracked.adapter.refresh(tracked.counters)  # where counting is deferred, topics are seen here
        awaits = tracked.adapter.awaits(producer)
    agent().checks.look(tracked)
    news = (advice, tracked.topics(), awaits, agent().checks.against(tracked.request))
    if tracked.considered is not None and tracked.considered[0] is advice and tracked.considered[1:] == news[1:]:
        return
    plan = _planned(tracked.request, news[1], advice, awaits)
    if plan.same_effect(tracked.plan):
        if plan != tracked.plan:
            if plan.groups != tracked.plan.groups and tracked.applied:
                with guarded(tracked.adapter.library, "retuning a producer"):
                    tracked.adapter.retune(producer, tracked.request, plan)
            said = plan.proposed == tracked.plan.proposed
            tracked.plan, tracked.info_due = plan, True
            if not said:
                _say(tracked)
        tracked.considered = news
        return
    with guarded(tracked.adapter.library, "retuning a producer"):
        if tracked.adapter.retune(producer, tracked.request, plan):
            tracked.plan, tracked.applied, tracked.info_due = plan, True, True
            tracked.considered = news
            agent().checks.begin(tracked)
            agent().leaving.expect(tracked)
            _say(tracked)
        else:
            _partition(tracked, producer, plan)


def _partition(tracked: Tracked, producer: Any, wanted: Plan) -> None:
    """Partitioning can change in every live producer, also in one that is stuck with its settings."""
    plan = routing.rerouted(tracked.plan, wanted)
    if tracked.applied and plan != tracked.plan and tracked.adapter.retune(producer, tracked.request, plan):
        said = plan.changes == tracked.plan.changes
        tracked.plan, tracked.info_due = plan, True
        if not said:
            agent().checks.begin(tracked)
            _say(tracked)


def views(request: ProducerRequest, plan: Plan) -> Views:
    """What a producer with this plan sees of the lag behind its topics."""
    return agent().lags.views(request.connection.key, plan.groups)


def _give_back(tracked: Tracked) -> None:
    """The program's own settings, from now on; a confluent-kafka producer that is in use may have to keep the plan."""
    producer = tracked.ref()
    if producer is None or tracked.closed:
        return
    plan = own_plan(tracked.request, DEACTIVATED)
    with guarded(tracked.adapter.library, "giving a producer its own settings back"):
        if tracked.adapter.retune(producer, tracked.request, plan):
            tracked.plan, tracked.applied = plan, True
        else:
            tracked.error = f"{DEACTIVATED}; this producer keeps what it was built with"
    tracked.info_due = True


def closing(producer: Any) -> None:
    """The program closes a producer: its last figures will be reported."""
    with guarded("agent", "a producer's end"):
        if agent().tracker.retire(producer):
            beating()


def lingering(producer: Any) -> float:
    """Seconds for which a dropped producer may hold records back, since the agent raised its linger. Takes no lock."""
    tracked = _agent.tracker.find(producer) if _agent is not None and _agent.heartbeat.alive else None
    return 0.0 if tracked is None or tracked.closed else leaving.added_linger(tracked)


def beating() -> None:
    """Bring the one thread back if a fork ended it; for hooks that are called often. Never waits."""
    agent().heartbeat.ensure(blocking=False)


def _planned(request: ProducerRequest, seen: frozenset[str], advice: Advice, awaits: bool = False) -> Plan:
    held, futile = agent().checks.against(request)
    if agent().deactivated or held:
        return own_plan(request, DEACTIVATED if agent().deactivated else held)
    place = rollout.place(socket.gethostname(), request.client_id)
    return optimizer.optimize(request, seen, advice, agent().settings, place=place, awaits=awaits, futile=futile)


def _say(tracked: Tracked) -> None:
    """One line per optimised or observed producer at info level; every decision at debug level."""
    request, plan = tracked.request, tracked.plan
    changes = plan.changes if tracked.applied else {}
    if changes or plan.proposed:
        told = ", ".join(_change(request.effective(n), n, value) for n, value in (changes or plan.proposed).items())
        would = "" if changes else "would change "
        log.info("optimizer", f"{request.library} producer {request.client_id}: {would}{told} ({plan.why})")
    if plan.origin is Origin.DEFAULTS and plan.treatment is Treatment.TUNED:
        log.info_once(
            "optimizer", "defaults", f"{plan.why}: sensible defaults; `superclient advise --publish` finds better"
        )
    for reason in plan.reasons:
        if reason.action is not Action.SET:
            log.debug("optimizer", f"{request.client_id}: {reason.name} {reason.action.value}: {reason.why}")
    if not plan.changes:
        log.debug("optimizer", f"{request.client_id}: unchanged ({plan.why})")


def _change(before: object, name: str, value: object) -> str:
    return f"{name} {value}" if before is None else f"{name} {before} -> {value}"


def _running_loop() -> "AbstractEventLoop | None":
    asyncio = sys.modules.get("asyncio")  # a program that has not imported it has no loop
    if asyncio is None:
        return None
    try:
        loop: AbstractEventLoop = asyncio.get_running_loop()
        return loop
    except RuntimeError:
        return None
