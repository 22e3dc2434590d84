"""Decides: request + what is known + settings → Plan, with a reason for every setting set, kept or refused. Pure.

The rules are AGT-30 to AGT-32, AGT-36 and AGT-65: nothing ever lowers batch size or linger; what the program wrote
down gives way only to a recommendation for its topic; a value that the library, the broker or the program's own limits
would not bear is refused; no linger is longer than the operator's ceiling. Whether a producer is to be touched at all
is `admission`'s to say.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from superclient.agent import admission, rollout, routing
from superclient.agent.model import Action, Advice, Origin, Plan, ProducerRequest, Reason, State, Treatment
from superclient.contract import CODECS, RANGES, TopicAdvice
from superclient.kafka.vocabulary import BATCH, COMPRESSION, LEVEL, LINGER, PARTITIONER, TUNABLE
from superclient.settings import Settings

DEFAULT_BATCH_BYTES = 64 * 1024
# gzip is the one codec that all consumers of the last ten years decode. Measured at full speed (docs/benchmarks.md):
# full batches pay for it at this level in kafka-python, and within this share of the time in aiokafka, which compresses
# on the event loop; librdkafka does on one thread per broker, and falls to 0.2 to 0.4 of its top speed at any level.
DEFAULT_GZIP_LEVEL = 3
DEFAULT_COMPRESSION_SHARE = 0.03
GZIP_BY_DEFAULT = ("kafka-python", "aiokafka")
MAX_LINGER_MS, MAX_AWAITED_LINGER_MS = 1000, 100  # ceilings where the operator names none
MIN_BROKER = {"zstd": (2, 1), "lz4": (0, 10)}


def optimize(
    request: ProducerRequest,
    seen: Collection[str],
    advice: Advice,
    settings: Settings,
    *,
    place: float = 0.0,
    awaits: bool = False,
    futile: str = "",
) -> Plan:
    """The plan for a producer by what is known of its cluster.

    `seen`: the topics it was seen to write, beside those that the settings say. `place`: its number in rollouts.
    `awaits`: somebody was seen to wait for its sends. `futile`: why a linger was seen to buy nothing.
    """
    why = _hands_off(request, seen, advice, settings)
    if why:
        return own_plan(request, why)
    topics = {*seen, *settings.topics_list}
    plan = _wanted(request, topics, advice, settings, place, awaits, futile)
    plan = routing.routed(plan, request, topics, advice, settings, place)
    observed = admission.observed(settings, place)
    return _observed(plan, observed) if observed else plan


def own_plan(request: ProducerRequest, why: str) -> Plan:
    """Nothing of the producer may be changed: the program's own settings, each kept for this reason."""
    names = [name for name in (*TUNABLE, PARTITIONER) if name in request.tunable]
    kept = tuple(Reason(name, Action.KEPT, request.effective(name), why) for name in names)
    return Plan({}, kept, Origin.USER, why=why, treatment=Treatment.LEFT_ALONE)


def _hands_off(request: ProducerRequest, seen: Collection[str], advice: Advice, settings: Settings) -> str:
    """Why nothing of a producer may be changed; "" where it may."""
    if advice.state is State.UNKNOWN:
        return advice.why or "nothing is known yet"
    mistake = own_mistake(request)
    if mistake:
        return f"the program's own {mistake} is not one that {request.library} takes"
    if not advice.metadata.active:
        return "the metadata says active: false"
    return admission.left_alone(request, seen, advice, settings)


def _wanted(
    request: ProducerRequest,
    topics: Collection[str],
    advice: Advice,
    settings: Settings,
    place: float,
    awaits: bool,
    futile: str,
) -> Plan:
    """What is best for a producer that writes these topics: a recommendation that is for it too, or defaults."""
    open_to_it = {topic for topic in topics if not admission.excluded(topic, advice, settings)}
    waiting = {
        name: topic.rollout_percentage
        for name in open_to_it
        if (topic := advice.metadata.topics.get(name)) and not rollout.within(place, topic.rollout_percentage)
    }
    best = most_impactful(open_to_it - waiting.keys(), advice)
    if best is not None:
        plan = _judge(request, best.configuration, Origin.RECOMMENDATION, settings, best, awaits=awaits, futile=futile)
    elif not settings.defaults:
        plan = Plan({}, (), Origin.USER, why="no recommendation, and SUPERSTREAM_DEFAULTS=off")
    else:
        why = advice.why if advice.state is State.ABSENT else "the metadata has no recommendation for its topics"
        plan = _judge(request, defaults(request, settings), Origin.DEFAULTS, settings, why=why)
    later = [
        Reason("rollout_percentage", Action.REFUSED, percent, f"of topic {name}: this producer's number is {place:g}")
        for name, percent in sorted(waiting.items())
    ]
    return replace(plan, reasons=(*plan.reasons, *later)) if later else plan


def _observed(plan: Plan, why: str) -> Plan:
    """The plan, told and not done."""
    reasons = tuple(
        replace(reason, action=Action.OBSERVED) if reason.action is Action.SET else reason for reason in plan.reasons
    )
    told = f"{plan.why}; {why}"
    return replace(plan, changes={}, reasons=reasons, why=told, treatment=Treatment.OBSERVED, groups={})


def own_mistake(request: ProducerRequest) -> str:
    """The name of a tunable setting that the program wrote wrongly: its library must get to say so (AGT-28)."""
    for name in TUNABLE:
        if name in request.written:
            value = request.written[name]
            if name == COMPRESSION:
                fits = value in (None, *CODECS, "inherit")
            else:
                # librdkafka takes text and refuses what is out of range; the others take numbers, 0 bytes among them.
                strict = request.library == "confluent-kafka"
                exact = number(value) if strict or not isinstance(value, str) else None
                fits = exact is not None and (RANGES[name][0] if strict else 0) <= exact <= RANGES[name][1]
            if not fits:
                return name
    return ""


def most_impactful(topics: Collection[str], advice: Advice) -> TopicAdvice | None:
    """Of the topics with a recommendation, the one that saves most a day (name decides a tie, so that all agree)."""
    known = [advice.metadata.topics[name] for name in topics if name in advice.metadata.topics]
    usable = [topic for topic in known if topic.configuration or topic.refused]
    return max(usable, key=lambda topic: (topic.impact, topic.topic), default=None)


def defaults(request: ProducerRequest, settings: Settings) -> dict[str, int | str]:
    """What is sensible anywhere: a codec that every consumer reads, room for a full batch, and not a moment's delay."""
    found: dict[str, int | str] = {BATCH: DEFAULT_BATCH_BYTES}
    leveled = "gzip" in request.levels
    codec = settings.default_codec or ("gzip" if leveled and request.library in GZIP_BY_DEFAULT else None)
    if codec is not None:
        found[COMPRESSION] = codec
    if codec == "gzip" and leveled:
        found[LEVEL] = DEFAULT_GZIP_LEVEL
    return found


def _judge(
    request: ProducerRequest,
    wanted: Mapping[str, int | str],
    origin: Origin,
    settings: Settings,
    topic: TopicAdvice | None = None,
    why: str = "",
    awaits: bool = False,
    futile: str = "",
) -> Plan:
    changes: dict[str, int | str] = {}
    reasons: list[Reason] = []
    wanted, capped = _capped(wanted, settings, awaits)
    for name in TUNABLE:
        if name not in wanted:
            continue
        verdict = _verdict(name, wanted[name], request, origin, settings, changes)
        against = _unseen_waiters(name, request, topic, futile) or _without_its_codec(name, reasons)
        if verdict.action is Action.SET and against:
            verdict = Reason(name, Action.REFUSED, wanted[name], against)
        reasons.append(replace(verdict, why=f"{verdict.why}; {capped}") if capped and name == LINGER else verdict)
        if verdict.action is Action.SET:
            changes[name] = wanted[name]
    if topic is not None:
        reasons += [Reason(name, Action.REFUSED, None, text) for name, text in topic.refused.items()]
        why = f"recommended for topic {topic.topic}"
    share = DEFAULT_COMPRESSION_SHARE if origin is Origin.DEFAULTS else 1.0
    return Plan(changes, tuple(reasons), origin, topic.topic if topic else "", why, share)


def _capped(wanted: Mapping[str, int | str], settings: Settings, awaits: bool) -> tuple[Mapping[str, int | str], str]:
    """What is wanted with a linger that the operator bears, and what was cut."""
    linger = wanted.get(LINGER)
    most, whose = settings.max_linger_ms, "SUPERSTREAM_MAX_LINGER_MS"
    if most is None:
        most, whose = (MAX_AWAITED_LINGER_MS, f"{whose} where sends are awaited") if awaits else (MAX_LINGER_MS, whose)
    if linger is None or int(linger) <= most:
        return wanted, ""
    return {**wanted, LINGER: most}, f"{linger} cut to {most} by {whose}"


def _verdict(
    name: str,
    value: int | str,
    request: ProducerRequest,
    origin: Origin,
    settings: Settings,
    changes: Mapping[str, int | str],
) -> Reason:
    """Set, kept or refused, in this order of precedence: impossible, the program's own word, already so, unbearable."""
    problem = kept = ""
    if name not in request.tunable:
        problem = f"{request.library} {request.library_version} has no such setting"
    elif name in request.written and origin is Origin.DEFAULTS:
        kept = "written by the program"
    elif name == COMPRESSION:
        problem = _codec_problem(str(value), request, settings)
        kept = "already so" if value == codec_in_force(request) else ""
    elif name == LEVEL and origin is Origin.DEFAULTS and COMPRESSION not in changes:
        kept = "goes with the codec, which stays"
    elif name == LEVEL:
        problem = _level_problem(int(value), request, changes)
        kept = "already so" if value == request.effective(LEVEL) else ""
    else:
        problem, kept = _size_verdict(name, int(value), request, settings)
    if problem and not kept:
        return Reason(name, Action.REFUSED, value, problem)
    if kept:
        return Reason(name, Action.KEPT, request.effective(name), kept)
    return Reason(name, Action.SET, value, origin.value)


def _size_verdict(name: str, value: int, request: ProducerRequest, settings: Settings) -> tuple[str, str]:
    """Why batch size or linger cannot be raised, and why it need not be."""
    own = number(request.effective(name))
    if own is None:
        return "what the library uses now is not known, and nothing may be lowered", ""
    if name == LINGER and settings.latency_sensitive:
        return "", "SUPERSTREAM_LATENCY_SENSITIVE=true"
    if own >= value:
        return "", "already as large" if own == value else "already larger"
    return (_batch_problem if name == BATCH else _linger_problem)(value, request), ""


def waits_unseen(request: ProducerRequest) -> bool:
    """Whether nobody can tell if the program waits for its records."""
    return request.library == "confluent-kafka"


def _unseen_waiters(name: str, request: ProducerRequest, topic: TopicAdvice | None, futile: str) -> str:
    """Why a linger might delay a send that is awaited: AGT-34."""
    if name != LINGER or not waits_unseen(request):
        return ""
    allowed = topic is not None and topic.allow_linger
    return futile if allowed else "confluent-kafka's waiting cannot be seen: needs allow_linger"


def _without_its_codec(name: str, reasons: Collection[Reason]) -> str:
    """Why a level is not for the codec that stays: it was meant for another."""
    refused = any(reason.name == COMPRESSION and reason.action is Action.REFUSED for reason in reasons)
    return "goes with the codec, which is refused" if name == LEVEL and refused else ""


def codec_in_force(request: ProducerRequest) -> str:
    """The codec the producer would use without the agent; the libraries spell "none" in several ways."""
    return str(request.effective(COMPRESSION) or "none").lower()


def _codec_problem(codec: str, request: ProducerRequest, settings: Settings) -> str:
    if settings.allowed_codecs is not None and codec not in settings.allowed_codecs:
        return "not one of SUPERSTREAM_ALLOWED_CODECS"
    if codec not in request.codecs:
        return f"the library that {codec} needs is not installed"
    oldest = MIN_BROKER.get(codec)
    if oldest and request.broker is not None and request.broker < oldest:
        return f"the broker is older than {'.'.join(map(str, oldest))}"
    return ""


def _level_problem(level: int, request: ProducerRequest, changes: Mapping[str, int | str]) -> str:
    codec = str(changes.get(COMPRESSION, codec_in_force(request)))
    bounds = request.levels.get(codec)
    if bounds is None:
        return f"{codec} takes no level in {request.library}"
    return "" if bounds[0] <= level <= bounds[1] else f"{codec} takes levels {bounds[0]} to {bounds[1]}"


def _batch_problem(size: int, request: ProducerRequest) -> str:
    limit = number(request.effective("max.request.size"))
    return f"larger than max.request.size {limit:.0f}" if limit is not None and size > limit else ""


def _linger_problem(linger: int, request: ProducerRequest) -> str:
    delivery = number(request.effective("delivery.timeout.ms"))
    answer = number(request.effective("request.timeout.ms")) or 0.0
    if delivery is None:  # aiokafka: a batch lives no longer than the request timeout
        return f"not below request.timeout.ms {answer:.0f}" if linger >= answer > 0 else ""
    if delivery > 0 and linger + answer >= delivery:
        return f"linger + request.timeout.ms {answer:.0f} would reach delivery.timeout.ms {delivery:.0f}"
    return ""


def number(value: object) -> float | None:
    """A setting's value as a number; the libraries take them as int, float and (librdkafka) text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return None
