"""What a program, or a person in its shell, can ask of the agent while it runs: `explain`, `status`, `deactivate`.

All three answer from memory: no read, no write, no wait. Nothing in their answers is a secret: settings are those that
may be reported (`redact.REPORTABLE`), addresses are host and port.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

import superclient
from superclient import _boot, redact, settings
from superclient.agent import features, pipeline
from superclient.agent.answers import ClusterStatus, Explanation, LibraryStatus, Setting, Status, TopicLag, text
from superclient.agent.model import Action, Origin, Reason
from superclient.agent.tracker import Tracked
from superclient.errors import NotTracked
from superclient.kafka.vocabulary import PARTITIONER, TUNABLE

_LIBRARIES = {"kafka": "kafka-python", "aiokafka": "aiokafka", "confluent_kafka": "confluent-kafka"}


def explain(producer: object) -> Explanation:
    """Each setting of a live producer: its value in force, who it is from, and why. Reads memory alone.

    Works for kafka-python's KafkaProducer, aiokafka's AIOKafkaProducer (once started) and confluent-kafka's Producer,
    and for their subclasses.

    Raises:
        NotTracked: the agent does not know this object; it is also a LookupError.
    """
    agent = pipeline.existing()
    tracked = agent.tracker.find(producer) if agent is not None else None
    if agent is None or tracked is None:
        raise NotTracked(f"the agent does not watch this {type(producer).__name__}: {_unknown(agent)}")
    return _explained(tracked, agent.lags.told(tracked))


def status() -> Status:
    """What the agent does in this process, to whom, and what it cannot do. Reads memory alone; never raises."""
    agent = pipeline.existing()
    everyone = agent.tracker.everyone() if agent is not None else []
    live = [tracked for tracked in everyone if not tracked.closed and tracked.ref() is not None]
    mode = agent.settings.mode if agent is not None else settings.read(os.environ)[0].mode
    why = _idle(agent)
    return Status(
        version=superclient.__version__,
        active=not why,
        why=why or "active",
        mode=mode,
        libraries=tuple(_libraries()),
        features_off=features.missing(),
        clusters=tuple(_clusters(agent, everyone)),
        producers=tuple(_explained(tracked, agent.lags.told(tracked)) for tracked in live) if agent else (),
        heartbeat_alive=agent is not None and agent.heartbeat.alive,
    )


def deactivate() -> None:
    """Switch the agent off in this process, at once and for good; may be called at any time, and again.

    Producers of kafka-python and aiokafka have their own settings back when this returns; what they gathered in a batch
    until then goes as it was begun. A confluent-kafka producer that is in use cannot be changed: it keeps the handle it
    has, unless SUPERSTREAM_LIVE_SWAP lets it take another. Producers built from now on are left untouched, also those
    of libraries that are imported later, and of processes forked later. The agent's thread sends one last report that
    says so, and ends; where confluent-kafka producers live on, it goes on to see that their statistics do not pile up.
    Does no I/O itself, and waits for none.
    """
    _boot.stand_down()
    agent = pipeline.existing()
    if agent is not None:
        agent.deactivate()


def _unknown(agent: "pipeline.Agent | None") -> str:
    if agent is None:
        return _idle(agent)
    if agent.deactivated:
        return pipeline.DEACTIVATED
    return "it was not made by a library that was patched, was not started, was closed, or is one of superclient's own"


def _idle(agent: "pipeline.Agent | None") -> str:
    """Why the agent does nothing; "" where it does."""
    if _boot.disabled():
        return "switched off by SUPERSTREAM_DISABLED"
    finder = _boot.installed()
    if (agent is not None and agent.deactivated) or (finder is not None and not finder.hooks):
        return "switched off"
    return "" if agent is not None else "no Kafka library was imported yet"


def _explained(tracked: Tracked, lags: tuple[TopicLag, ...] = ()) -> Explanation:
    request, plan = tracked.request, tracked.plan
    known = redact.reportable({**request.defaults, **request.written, "client.id": request.client_id})
    first = (*TUNABLE, PARTITIONER)
    names = [*first, *sorted(known.keys() - set(first))]
    reasons = {reason.name: reason for reason in plan.reasons}
    return Explanation(
        client_id=request.client_id,
        library=request.library,
        library_version=request.library_version,
        topics=tuple(sorted(tracked.topics())),
        treatment=plan.treatment.value,
        why=tracked.error or plan.why,
        settings=tuple(_setting(tracked, name, reasons.get(name)) for name in names),
        lags=lags,
    )


def _setting(tracked: Tracked, name: str, reason: Reason | None) -> Setting:
    request, plan = tracked.request, tracked.plan
    if tracked.applied and name in plan.changes:
        ours = name == PARTITIONER or plan.origin is not Origin.RECOMMENDATION
        why = tracked.error or (reason.why if name == PARTITIONER and reason is not None else plan.why)
        return Setting(name, plan.changes[name], "default" if ours else "recommendation", why)
    written = name in request.written
    own = "written by the program" if written else f"{request.library}'s own default"
    if name in TUNABLE and name not in request.tunable:
        own = f"{own}; this version has no such setting" if written else "this version has no such setting"
    value = redact.scalar(request.effective(name)) if name != "client.id" else request.client_id
    if name == "bootstrap.servers":
        value = redact.reportable({name: value})[name]
    return Setting(name, value, "user" if written else "library", f"{own}{_besides(reason)}")


def _besides(reason: Reason | None) -> str:
    """What became of a recommendation that does not hold."""
    if reason is None or reason.why == "written by the program":
        return ""
    if reason.action is Action.OBSERVED:
        return f"; would be {text(redact.scalar(reason.value))}"
    if reason.action is Action.SET:
        return f"; {text(redact.scalar(reason.value))} from the next construction on"
    if reason.action is Action.REFUSED:
        return f"; {text(redact.scalar(reason.value))} refused: {reason.why}"
    return f"; {reason.why}"


def _libraries() -> Iterable[LibraryStatus]:
    finder = _boot.installed()
    disabled = settings.read(os.environ)[0].disabled_libraries
    for hooked in _boot.HOOKS:
        module: Any = sys.modules.get(hooked)
        package = hooked.partition(".")[0]
        if module is None:
            continue
        name, version = _LIBRARIES[package], str(getattr(sys.modules.get(package), "__version__", ""))
        if name in disabled:
            yield LibraryStatus(name, version, False, "left alone by SUPERSTREAM_DISABLED_LIBRARIES")
            continue
        patched = finder is not None and finder.patched.get(hooked) is module
        failed = finder.failed.get(hooked, "") if finder is not None else ""
        yield LibraryStatus(name, version, patched, "" if patched else failed or "not patched")


def _clusters(agent: "pipeline.Agent | None", everyone: Iterable[Tracked]) -> Iterable[ClusterStatus]:
    if agent is None:
        return
    for key in dict.fromkeys(tracked.request.connection.key for tracked in everyone):
        advice, (reported, trouble) = agent.store.peek(key), agent.rounds.last_report(key)
        servers = str(redact.reportable({"bootstrap.servers": key.bootstrap})["bootstrap.servers"])
        yield ClusterStatus(tuple(servers.split(",")), advice.state.value, advice.why, reported, trouble)
