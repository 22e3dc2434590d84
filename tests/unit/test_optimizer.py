"""The optimizer's rules, each shown on a request made by hand: AGT-30, AGT-31, AGT-32, AGT-36."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.agent.model import Action, Advice, Origin, Plan, ProducerRequest, State
from superclient.agent.optimizer import DEFAULT_BATCH_BYTES, DEFAULT_GZIP_LEVEL, most_impactful, number, optimize
from superclient.contract import Metadata, TopicAdvice
from superclient.kafka.connection import Connection
from superclient.kafka.vocabulary import COMPRESSION
from superclient.settings import Settings

LIBRARY = {
    "batch.size": 16384,
    "linger.ms": 0,
    "compression.type": None,
    "max.request.size": 1048576,
    "request.timeout.ms": 30000,
    "delivery.timeout.ms": 120000,
}

ABSENT = Advice(State.ABSENT, "no topic")


def request(**changes: Any) -> ProducerRequest:
    """A kafka-python producer that wrote nothing down, unless told otherwise."""
    base = ProducerRequest(
        library="kafka-python",
        library_version="3.0.12",
        client_id="app",
        connection=Connection("kafka-python", ("localhost:9092",), "PLAINTEXT", {}),
        written={},
        defaults=LIBRARY,
        codecs=frozenset({"none", "gzip", "zstd"}),
        tunable=frozenset({"compression.type", "batch.size", "linger.ms"}),
    )
    return replace(base, **changes)


def known(**configuration: int | str) -> Advice:
    """Metadata that recommends this for topic orders; names with _ for dots."""
    wanted = {name.replace("_", "."): value for name, value in configuration.items()}
    return Advice(State.KNOWN, "read", Metadata(topics={"orders": TopicAdvice("orders", wanted, {}, 50, 1000)}))


def plan(asked: ProducerRequest, advice: Advice, topics: tuple[str, ...] = ("orders",), **settings: Any) -> Plan:
    """The plan for a producer of topic orders."""
    return optimize(asked, topics, advice, Settings(**settings))


def why(decided: Plan, name: str) -> tuple[Action, str]:
    """What was done with one setting, and why."""
    return next((reason.action, reason.why) for reason in decided.reasons if reason.name == name)


def test_a_recommendation_is_applied_with_a_reason_for_every_key() -> None:
    """AGT-30: the recommendation for the topic it writes decides; every key has its reason."""
    decided = plan(request(), known(compression_type="zstd", batch_size=65536, linger_ms=20))
    assert decided.changes == {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}
    assert decided.origin is Origin.RECOMMENDATION
    assert decided.topic == "orders"
    assert {reason.name for reason in decided.reasons} == set(decided.changes)


def test_the_topic_that_saves_most_decides() -> None:
    """AGT-30: of the known topics, the largest reduction × daily bytes wins; unknown topics do not count."""
    metadata = Metadata(
        topics={
            "small": TopicAdvice("small", {"linger.ms": 5}, {}, 90, 10),
            "big": TopicAdvice("big", {"linger.ms": 7}, {}, 10, 1000),
            "other": TopicAdvice("other", {"linger.ms": 9}, {}, 99, 9999),
        }
    )
    advice = Advice(State.KNOWN, "read", metadata)
    assert most_impactful(("small", "big", "never-heard-of"), advice) is metadata.topics["big"]
    assert optimize(request(), ("small", "big"), advice, Settings()).changes == {"linger.ms": 7}
    assert most_impactful((), advice) is None


@pytest.mark.parametrize("name", ["batch.size", "linger.ms"])
def test_nothing_is_ever_lowered(name: str) -> None:
    """AGT-31: a larger batch or linger is kept, whether the program's own or the library's default."""
    advice = known(**{name: 1000})
    for asked in (request(written={name: 2000}), request(defaults={**LIBRARY, name: 2000})):
        decided = plan(asked, advice)
        assert decided.changes == {}
        assert why(decided, name) == (Action.KEPT, "already larger")


@given(
    own=st.integers(0, 10**7),
    wanted=st.integers(1, 10**6),
    written=st.booleans(),
    name=st.sampled_from(["batch.size", "linger.ms"]),
)
def test_sizes_only_grow(own: int, wanted: int, written: bool, name: str) -> None:
    """AGT-31: whatever is recommended, what then holds is at least what held before."""
    asked = request(**{"written" if written else "defaults": {**LIBRARY, name: own}})
    decided = plan(asked, known(**{name: wanted}))
    assert int(decided.changes.get(name, own)) >= own


def test_a_size_that_is_not_known_is_not_touched() -> None:
    """AGT-31: where the library's own default is unknown, raising could be lowering."""
    decided = plan(request(defaults={}), known(batch_size=65536, linger_ms=5))
    assert decided.changes == {}
    assert why(decided, "batch.size")[0] is Action.REFUSED


def test_what_the_program_wrote_yields_to_a_recommendation_but_not_to_defaults() -> None:
    """AGT-31: a linger or codec written down, `none` included, is replaced by a recommendation for the topic alone."""
    own = {"compression.type": "none", "linger.ms": 5, "batch.size": 20000}
    assert plan(request(written=own), ABSENT).changes == {}
    assert why(plan(request(written=own), ABSENT, default_codec="gzip"), "compression.type") == (
        Action.KEPT,
        "written by the program",
    )
    recommended = plan(request(written=own), known(compression_type="gzip", linger_ms=20, batch_size=65536))
    assert recommended.changes == {"compression.type": "gzip", "linger.ms": 20, "batch.size": 65536}


def test_a_latency_sensitive_program_keeps_its_linger() -> None:
    """AGT-31: SUPERSTREAM_LATENCY_SENSITIVE=true means linger is neither lowered nor raised."""
    decided = plan(request(), known(linger_ms=20, compression_type="gzip"), latency_sensitive=True)
    assert decided.changes == {"compression.type": "gzip"}
    assert why(decided, "linger.ms") == (Action.KEPT, "SUPERSTREAM_LATENCY_SENSITIVE=true")


@pytest.mark.parametrize(
    ("asked", "advice", "name", "part"),
    [
        (request(), known(compression_type="lz4"), "compression.type", "not installed"),
        (request(broker=(2, 0)), known(compression_type="zstd"), "compression.type", "older than 2.1"),
        (request(), known(batch_size=2_000_000), "batch.size", "max.request.size 1048576"),
        (request(written={"delivery.timeout.ms": 30900}), known(linger_ms=90_000), "linger.ms", "timeout.ms 30900"),
        (request(written={"delivery.timeout.ms": 30010}), known(linger_ms=20), "linger.ms", "timeout.ms 30010"),
        (
            request(defaults={"linger.ms": 0, "request.timeout.ms": 900}),
            known(linger_ms=50_000),
            "linger.ms",
            "request.timeout.ms 900",
        ),
        (request(), known(compression_level=3), "compression.level", "has no such setting"),
        (
            request(tunable=frozenset({"compression.level"}), levels={"gzip": (0, 9)}, written={COMPRESSION: "gzip"}),
            known(compression_level=12),
            "compression.level",
            "levels 0 to 9",
        ),
    ],
)  # fmt: skip
def test_what_would_not_be_borne_is_refused(asked: ProducerRequest, advice: Advice, name: str, part: str) -> None:
    """AGT-31, AGT-28: codec library, broker version, size limit, delivery timeout; each refusal is a reason."""
    decided = plan(asked, advice)
    assert decided.changes == {}
    action, reason = why(decided, name)
    assert action is Action.REFUSED
    assert part in reason


def test_an_infinite_delivery_timeout_bears_any_linger() -> None:
    """AGT-31: librdkafka's 0 means no limit."""
    assert plan(request(written={"delivery.timeout.ms": 0}), known(linger_ms=500)).changes == {"linger.ms": 500}


def test_a_level_that_goes_with_the_new_codec_is_taken() -> None:
    """AGT-36: compression.level is judged by the codec that will then be in force."""
    asked = request(tunable=frozenset({"compression.type", "compression.level"}), levels={"zstd": (-1, 12)})
    assert plan(asked, known(compression_type="zstd", compression_level=6)).changes == {
        "compression.type": "zstd",
        "compression.level": 6,
    }


def test_known_to_have_none_gets_sensible_defaults() -> None:
    """AGT-32: no metadata topic, or metadata without these topics: a codec everyone reads, fuller batches, no delay."""
    leveled = request(tunable=request().tunable | {"compression.level"}, levels={"gzip": (1, 9)})
    gzip = {"compression.type": "gzip", "compression.level": DEFAULT_GZIP_LEVEL, "batch.size": DEFAULT_BATCH_BYTES}
    for advice in (ABSENT, Advice(State.KNOWN, "read", Metadata())):
        for library in ("kafka-python", "aiokafka"):
            decided = plan(replace(leveled, library=library), advice)
            assert decided.changes == gzip
            assert decided.origin is Origin.DEFAULTS
    assert plan(leveled, ABSENT, default_codec="zstd").changes["compression.type"] == "zstd"
    assert plan(leveled, ABSENT, defaults=False).changes == {}


@pytest.mark.parametrize(
    "asked",
    [
        request(library="confluent-kafka", levels={"gzip": (0, 9)}),  # gzip would slow it down at any level
        request(library="aiokafka"),  # a version whose gzip takes no level
    ],
)
def test_no_default_slows_a_library_down(asked: ProducerRequest) -> None:
    """AGT-32: where gzip costs top throughput, batches are filled and the codec stays, unless the team names one."""
    assert plan(asked, ABSENT).changes == {"batch.size": DEFAULT_BATCH_BYTES}
    assert plan(asked, ABSENT, default_codec="zstd").changes["compression.type"] == "zstd"


@pytest.mark.parametrize("library", ["kafka-python", "aiokafka", "confluent-kafka"])
def test_gzip_that_the_team_names_has_the_level_of_the_defaults(library: str) -> None:
    """AGT-32: the Python libraries' own level 9 costs twice the time, librdkafka's 6 half as much again."""
    levels = {"tunable": request().tunable | {"compression.level"}, "levels": {"gzip": (1, 9)}}
    decided = plan(request(library=library, **levels), ABSENT, default_codec="gzip")
    assert decided.changes["compression.level"] == DEFAULT_GZIP_LEVEL
    assert "compression.level" not in plan(request(library=library), ABSENT, default_codec="gzip").changes


def test_the_programs_own_gzip_keeps_its_level() -> None:
    """AGT-31: the level of the defaults goes with the codec of the defaults alone."""
    levels = {"tunable": request().tunable | {"compression.level"}, "levels": {"gzip": (1, 9)}}
    decided = plan(request(written={"compression.type": "gzip"}, **levels), ABSENT)
    assert decided.changes == {"batch.size": DEFAULT_BATCH_BYTES}


@pytest.mark.parametrize(
    "advice",
    [
        Advice(State.UNKNOWN, "not reachable"),
        Advice(State.KNOWN, "read", replace(known(linger_ms=9).metadata, active=False)),
    ],
)  # fmt: skip
def test_unknown_and_inactive_mean_the_programs_own(advice: Advice) -> None:
    """AGT-32: while nothing is known, and when active is false, the program's own configuration holds."""
    decided = plan(request(), advice)
    assert decided.changes == {}
    assert decided.origin is Origin.USER
    assert decided.why


def test_what_the_metadata_tried_to_smuggle_in_is_a_reason() -> None:
    """AGT-36: refused names are said in the plan, and change nothing."""
    topic = TopicAdvice("orders", {}, {"bootstrap.servers": "not a setting that is taken from metadata"}, 1, 1)
    decided = plan(request(), Advice(State.KNOWN, "read", Metadata(topics={"orders": topic})))
    assert decided.changes == {}
    assert why(decided, "bootstrap.servers")[0] is Action.REFUSED


@pytest.mark.parametrize(
    ("library", "name", "value", "left_alone"),
    [
        ("confluent-kafka", "linger.ms", -1, True),
        ("confluent-kafka", "linger.ms", "5", False),
        ("confluent-kafka", "batch.size", 0, True),
        ("confluent-kafka", "compression.type", "brotli", True),
        ("confluent-kafka", "compression.type", "inherit", False),
        ("kafka-python", "linger.ms", "5", True),
        ("kafka-python", "batch.size", "list", True),
        ("kafka-python", "linger.ms", 5, False),
        ("kafka-python", "batch.size", 0, False),
    ],
)
def test_the_programs_own_mistake_is_its_librarys_to_tell(
    library: str, name: str, value: object, left_alone: bool
) -> None:
    """AGT-28, AGT-21: a plan never hides a setting that the library would have refused."""
    decided = plan(request(library=library, written={name: value}), known(compression_type="zstd", batch_size=10**6))
    assert (decided.changes == {}) is left_alone


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1.0), ("20", 20.0), (2.5, 2.5), (True, None), ("x", None), (None, None), ([], None)]
)
def test_numbers_come_in_several_forms(value: object, expected: float | None) -> None:
    """librdkafka's configurations hold numbers as text; booleans are none."""
    assert number(value) == expected


@pytest.mark.parametrize("allowed", [True, False])
def test_a_linger_whose_waiters_cannot_be_seen_needs_leave(allowed: bool) -> None:
    """AGT-34: confluent-kafka's linger is raised only where the recommendation says `allow_linger`."""
    topic = TopicAdvice("orders", {"linger.ms": 20, "batch.size": 65536}, {}, 50, 1000, allow_linger=allowed)
    advice = Advice(State.KNOWN, "read", Metadata(topics={"orders": topic}))
    decided = plan(request(library="confluent-kafka"), advice)
    assert decided.changes == {"batch.size": 65536, **({"linger.ms": 20} if allowed else {})}
    if not allowed:
        assert why(decided, "linger.ms") == (
            Action.REFUSED,
            "confluent-kafka's waiting cannot be seen: needs allow_linger",
        )
    assert plan(request(), advice).changes == {"batch.size": 65536, "linger.ms": 20}


@pytest.mark.parametrize(
    ("asked", "own", "settings", "awaits", "then", "part"),
    [
        (1000, 0, {}, False, 1000, ""),
        (5000, 0, {}, False, 1000, "5000 cut to 1000 by SUPERSTREAM_MAX_LINGER_MS"),
        (5000, 0, {}, True, 100, "5000 cut to 100 by SUPERSTREAM_MAX_LINGER_MS where sends are awaited"),
        (100, 0, {}, True, 100, ""),
        (5000, 0, {"max_linger_ms": 3000}, True, 3000, "5000 cut to 3000"),
        (5000, 0, {"max_linger_ms": 9000}, False, 5000, ""),
        (20, 0, {"max_linger_ms": 0}, False, None, "20 cut to 0"),
        (5000, 2000, {}, False, None, "already larger; 5000 cut to 1000"),
        (5000, 500, {}, True, None, "already larger; 5000 cut to 100"),
    ],
)
def test_no_recommendation_passes_the_ceiling_of_the_linger(
    asked: int, own: int, settings: dict[str, Any], awaits: bool, then: int | None, part: str
) -> None:
    """AGT-65: cut, not refused, and said; a longer linger of the program's own is never cut."""
    decided = optimize(
        request(written={"linger.ms": own}), ("orders",), known(linger_ms=asked), Settings(**settings), awaits=awaits
    )
    assert decided.changes.get("linger.ms") == then
    reason = why(decided, "linger.ms")[1]
    assert part in reason
    assert part or "cut" not in reason


@given(
    own=st.integers(0, 10**5),
    asked=st.integers(0, 9 * 10**5),
    ceiling=st.none() | st.integers(0, 60_000),
    awaits=st.booleans(),
)
def test_a_linger_is_between_the_programs_own_and_the_ceiling(
    own: int, asked: int, ceiling: int | None, awaits: bool
) -> None:
    """AGT-65, AGT-31: what is set is above the program's own, and neither above what was asked for nor the ceiling."""
    patient = request(written={"linger.ms": own, "delivery.timeout.ms": 10**7})
    decided = optimize(patient, ("orders",), known(linger_ms=asked), Settings(max_linger_ms=ceiling), awaits=awaits)
    most = ceiling if ceiling is not None else 100 if awaits else 1000
    assert decided.changes == ({"linger.ms": min(asked, most)} if min(asked, most) > own else {})


def test_only_allowed_codecs_are_chosen() -> None:
    """AGT-65: another one is refused with its reason, recommended or by default, and the level goes with its codec."""
    leveled = request(
        tunable=request().tunable | {"compression.level"}, levels={"gzip": (1, 9), "zstd": (-1, 22), "none": (0, 9)}
    )
    refused = (Action.REFUSED, "not one of SUPERSTREAM_ALLOWED_CODECS")
    advice = known(compression_type="zstd", compression_level=6, batch_size=65536)
    decided = plan(leveled, advice, allowed_codecs=("gzip", "none"))
    assert decided.changes == {"batch.size": 65536}
    assert why(decided, "compression.type") == refused
    assert why(decided, "compression.level") == (Action.REFUSED, "goes with the codec, which is refused")
    assert plan(leveled, advice, allowed_codecs=("zstd",)).changes["compression.type"] == "zstd"
    for settings in ({}, {"default_codec": "gzip"}):
        by_default = plan(leveled, ABSENT, allowed_codecs=("lz4",), **settings)
        assert by_default.changes == {"batch.size": DEFAULT_BATCH_BYTES}
        assert why(by_default, "compression.type") == refused
    assert plan(leveled, ABSENT, allowed_codecs=("gzip",)).changes["compression.type"] == "gzip"


def test_an_allowed_list_leaves_the_programs_own_codec() -> None:
    """AGT-65: it binds recommendations, not the program."""
    decided = plan(request(written={COMPRESSION: "zstd"}), known(compression_type="zstd"), allowed_codecs=("gzip",))
    assert why(decided, COMPRESSION) == (Action.KEPT, "already so")


def test_a_futile_linger_is_given_back_where_waiters_are_unseen() -> None:
    """AGT-34: what is known to buy nothing is refused in confluent-kafka, allowed or not, and stays elsewhere."""
    topic = TopicAdvice("orders", {"linger.ms": 20}, {}, 50, 1000, allow_linger=True)
    advice = Advice(State.KNOWN, "read", Metadata(topics={"orders": topic}))
    asked = request(library="confluent-kafka")
    decided = optimize(asked, ("orders",), advice, Settings(), futile="it buys nothing")
    assert decided.changes == {}
    assert why(decided, "linger.ms") == (Action.REFUSED, "it buys nothing")
    assert optimize(request(), ("orders",), advice, Settings(), futile="it buys nothing").changes == {"linger.ms": 20}
