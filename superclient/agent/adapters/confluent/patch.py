"""The hook of confluent-kafka's Producer, and the translation of its arguments.

librdkafka takes its settings when a handle is made and never again: so the plan is asked for before the constructor,
which runs once more with the program's own arguments where it refuses what the plan made of them.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from superclient.agent import pipeline
from superclient.agent.adapters.confluent import classes, conf, dropped, steering
from superclient.agent.adapters.confluent.conf import LIBRARY
from superclient.agent.adapters.confluent.handles import Family, Handles
from superclient.agent.adapters.confluent.live import Live
from superclient.agent.adapters.confluent.native import Native
from superclient.agent.guard import guarded
from superclient.agent.model import Counters, Plan, ProducerRequest, State
from superclient.kafka.connection import Connection
from superclient.kafka.vocabulary import PARTITIONER, TUNABLE

# What the constructor of librdkafka takes: one range for all codecs, which gzip's own is narrower than.
LEVELS = {"gzip": (-1, 9), "lz4": (-1, 12), "zstd": (-1, 12)}
_TICK = 0.005


class ConfluentAdapter:
    """confluent-kafka as the pipeline sees it."""

    library = LIBRARY

    def __init__(self, native: Native, version: str) -> None:
        self._native = native
        self._version = version

    def request(self, written: Mapping[str, Any], connection: Connection, producer: Any | None) -> ProducerRequest:
        """See Adapter.request."""
        defaults = self._native.defaults
        return ProducerRequest(
            library=LIBRARY,
            library_version=self._version,
            client_id=str(conf.flat(written).get("client.id") or defaults.get("client.id") or ""),
            connection=connection,
            written=conf.canonical(written),
            defaults=defaults,
            codecs=self._native.codecs,
            tunable=frozenset((*TUNABLE, PARTITIONER) if steering.steerable(written, defaults) else TUNABLE),
            levels=LEVELS,
        )

    def retune(self, producer: Any, request: ProducerRequest, plan: Plan) -> bool:
        """See Adapter.retune."""
        found = classes.handles_of(producer)
        if found is None:
            return False
        if PARTITIONER in plan.changes:
            classes.steer(found.family, type(producer))
        steering.apply(producer, found, request, plan)
        return found.tune(producer, conf.settable(plan.changes))

    def release(self, producer: Any, seconds: float) -> None:
        """See Adapter.release. Only waits: serving the queue would call the program's callbacks."""
        end = time.monotonic() + seconds
        while len(producer) and (left := end - time.monotonic()) > 0:
            time.sleep(min(_TICK, left))

    def attach(self, producer: Any, counters: Counters) -> None:
        """See Adapter.attach."""
        found = classes.handles_of(producer)
        counters.source = found.ledger if found is not None else None
        counters.counted = False

    def refresh(self, counters: Counters) -> None:
        """See Adapter.refresh; also the moment to look after the producer's handles."""
        ledger: Any = counters.source
        if ledger is None:
            return
        ledger.post(counters)
        dropped.let_go()
        producer = ledger.producer()
        found = classes.handles_of(producer)
        if found is not None:
            with guarded(LIBRARY, "looking after a producer's handles"):
                found.tend(producer)
            if (end := dropped.until(producer)) is not None:
                ledger.again = end

    def awaits(self, producer: Any) -> bool:
        """See Adapter.awaits: it cannot be seen, and its linger is raised only where that is allowed."""
        return False


def patch(module: ModuleType, late: bool = False) -> None:
    """Put our class in the place of `cimpl.Producer`; late, also wherever a module holds the library's own."""
    bare: Any = module.Producer
    if not pipeline.watches(LIBRARY) or classes.ours(bare):
        return
    native = Native(str(module.__file__))
    version = module.version()
    adapter = ConfluentAdapter(native, str(version[0] if isinstance(version, tuple) else version))
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()  # what `live` rests upon
    live = pipeline.agent().settings.live_swap and locked

    def replacement(of: Any) -> Any:
        family = Family(of, native, live=live)
        return classes.make(family, _constructing(adapter, family), late)

    vars(module)["Producer"] = public = replacement(bare)
    if late:
        _catch_up(bare, public)
        own = next(kind for kind in reversed(bare.__mro__) if kind.__name__ == bare.__name__)
        if own is not bare:  # a tracer's class stands there; who bound the library's own before it is not traced
            _catch_up(own, replacement(own), besides=bare.__mro__)


def _catch_up(bare: Any, public: Any, besides: tuple[Any, ...] = ()) -> None:
    """Names that modules bound before us, and classes that were derived; a C type itself cannot be patched."""
    for module in list(sys.modules.values()):
        names: Any = getattr(module, "__dict__", {})
        for name, value in list(names.items()):
            if value is bare:
                names[name] = public
    for derived in bare.__subclasses__():
        if derived not in (public, *besides):
            derived.__bases__ = tuple(public if base is bare else base for base in derived.__bases__)


def _constructing(adapter: ConfluentAdapter, family: Family) -> classes.Construct:
    bare = family.bare

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        if family.live and (found := classes.live_of(self)) is not None:
            _untouched(bare, found.inner, args, kwargs)  # which refuses to be initialised again
            return
        settings = conf.merged(args, kwargs)
        story = pipeline.open_story(adapter, settings, settings.get("client.id")) if settings is not None else None
        plan, handles = _prepared(story, family, self, settings) if story is not None else (None, None)
        if plan is None or handles is None:
            _untouched(bare, self, args, kwargs)
            return
        handle = handles.target(self)
        if handles.making.touched and not _accepted(bare, handle, handles.making.settings):
            handles.refused()
            stays = {name: value for name, value in plan.changes.items() if name == PARTITIONER}
            plan = replace(plan, changes=stays, why=f"{plan.why}; the library refused it")
        if not handles.making.touched:
            _untouched(bare, handle, args, kwargs)
        _finished(story, plan, handles, self)

    return construct


def _untouched(bare: Any, producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if kwargs:
        bare.__init__(producer, *args, **kwargs)
    else:  # to the library, an empty dict of keywords is a configuration
        bare.__init__(producer, *args)


def _prepared(story: Any, family: Family, producer: Any, settings: Any) -> tuple[Plan | None, Handles | Live | None]:
    plan: Plan | None = None
    handles: Handles | Live | None = None
    with guarded(LIBRARY, "planning for a producer"):
        plan = story.decide()
        live = family.live and not conf.transactional(settings)
        made = (Live if live else Handles)(family, producer, settings, conf.settable(plan.changes))
        if live:
            classes.follow(family)
            made.adopt(producer)
        handles = made
    return plan, handles


def _accepted(bare: Any, producer: Any, settings: dict[str, Any]) -> bool:
    try:
        bare.__init__(producer, settings)
    except Exception:  # whatever it is, the program's own arguments decide
        return False
    return True


def _finished(story: Any, plan: Plan, handles: Handles | Live, producer: Any) -> None:
    with guarded(LIBRARY, "setting a producer up"):
        handles.adopt(producer)
        if handles.exchangeable and story.entry.advice.state is State.UNKNOWN:
            producer.__class__ = handles.family.unused
        story.finish(producer, built=plan)
