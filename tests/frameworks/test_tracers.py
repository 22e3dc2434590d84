"""Tracing agents that patch the same producers: theirs and ours are both there, whoever came first."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.environments import PATIENT, PATIENT_EXIT, environment, run_program
from tests.frameworks.libraries import CODECS, LIBRARIES
from tests.frameworks.reports import recommend
from tests.servers import Broker

PYTHON = "3.12"
COUNT = 100

PRODUCE = f"""
def produce():
    for i in range({COUNT}):
        kafka_python.send(where[1], b"x" * 200)
    kafka_python.flush()
    for i in range({COUNT}):
        confluent.produce(where[2], value=b"x" * 200)
    assert confluent.flush(20) == 0

async def produce_async():
    async with AIOKafkaProducer(bootstrap_servers=where[0], client_id="aiokafka") as producer:
        for i in range({COUNT}):
            await producer.send(where[3], b"x" * 200)
"""

# The libraries are imported in the order and at the moment that the test asks for.
IMPORT = """
from kafka import KafkaProducer
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
"""
MAKE = """
kafka_python = KafkaProducer(bootstrap_servers=where[0], client_id="kafka-python")
confluent = Producer({"bootstrap.servers": where[0], "client.id": "confluent-kafka", "statistics.interval.ms": 100})
"""
HEAD = """
import asyncio, collections, os, sys
where = sys.argv[1:]
"""

# --- the tracers: how each is put on, and what it has seen ------------------------------------------------------------

OTEL_ON = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.instrumentation.kafka import KafkaInstrumentor
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
seen, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(seen))
trace.set_tracer_provider(provider)
KafkaInstrumentor().instrument()
AIOKafkaInstrumentor().instrument()
ConfluentKafkaInstrumentor().instrument()
import confluent_kafka
"""
OTEL_RUN = """
produce()
asyncio.run(produce_async())
print(sorted(collections.Counter(span.name.split()[-1] for span in seen.get_finished_spans()).items()))
"""
DDTRACE_ON = """
from ddtrace.trace import TraceFilter, tracer
seen = collections.Counter()
class Keep(TraceFilter):
    def process_trace(self, trace):
        seen.update(span.name for span in trace)
tracer.configure(trace_processors=[Keep()])
import ddtrace.auto
"""
DDTRACE_RUN = """
produce()
asyncio.run(produce_async())
print(sorted(seen.items()))
"""
NEWRELIC_ON = """
import newrelic.agent
newrelic.agent.initialize()
application = newrelic.agent.register_application(timeout=10)
"""
NEWRELIC_RUN = """
@newrelic.agent.background_task(application)
def task():
    produce()
    asyncio.run(produce_async())
task()
"""
TRACERS = {
    "opentelemetry": (OTEL_ON, OTEL_RUN),
    "ddtrace": (DDTRACE_ON, DDTRACE_RUN),
    "newrelic": (NEWRELIC_ON, NEWRELIC_RUN),
}
ENVIRONMENT = {
    "DD_KAFKA_PROPAGATION_ENABLED": "true",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "NEW_RELIC_DEVELOPER_MODE": "true",  # connects to nobody
    "NEW_RELIC_LICENSE_KEY": "0" * 40,
    "NEW_RELIC_LOG": "/dev/null",
    "NEW_RELIC_APP_NAME": "test",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


def traced_environment(tracer: str, wrapt: str = "wrapt") -> Path:
    """One tracer and the three libraries; `wrapt` may bound what both it and the agent build upon."""
    packages = {
        "opentelemetry": [
            "opentelemetry-distro",
            "opentelemetry-instrumentation-kafka-python",
            "opentelemetry-instrumentation-aiokafka",
            "opentelemetry-instrumentation-confluent-kafka",
        ]
    }
    return environment(PYTHON, [*LIBRARIES, *CODECS, wrapt, *packages.get(tracer, [tracer])], constrained=False)


def order_of(order: str, tracer: str) -> str:
    """The program, with agent, tracer and libraries loaded in that order."""
    on, run = TRACERS[tracer]
    parts = {"agent": "import superclient\n", "tracer": on, "libraries": IMPORT}
    # What a tracer puts in a package's place is seen by who imports the name afterwards.
    again = IMPORT if order.index("tracer") > order.index("libraries") else ""
    return HEAD + "".join(parts[name] for name in order.split()) + again + MAKE + PRODUCE + run


def headers_of(cluster: Broker, topics: list[str]) -> list[list[str]]:
    """Per topic, the names of the headers that records have, once every record of the topic is there."""
    found = []
    for topic in topics:
        records = cluster.records(topic)
        assert len(records) == COUNT
        found.append(sorted({",".join(sorted(name for name, _ in record.headers)) for record in records}))
    return found


def _site(python: Path) -> str:
    return str(next((python.parent.parent / "lib").glob("python3*/site-packages")))


@dataclass(frozen=True)
class Seen:
    """What became of one run: the tracer's own count, and the names of each record's headers, by topic."""

    stdout: str
    headers: list[list[str]]


def _run(cluster: Broker, command: tuple[Path, tuple[str, ...]], program: str, env: dict[str, str]) -> Seen:
    """Without the agent, or with it: then every library is optimised, reports, and nothing complains."""
    suffix = os.urandom(4).hex()
    topics = [cluster.create_topic(f"traced-{number}-{suffix}") for number in range(len(LIBRARIES))]
    cluster.reset_system_topics()
    recommend(cluster, *topics)
    env = {**ENVIRONMENT, **PATIENT, "SUPERSTREAM_TOPICS_LIST": ",".join(topics), **env}
    python, options = command
    program += "" if "SUPERSTREAM_DISABLED" in env else PATIENT_EXIT
    done = run_program(python, program, cluster.bootstrap, *topics, env=env, options=options)
    assert done.returncode == 0, done.stderr
    if "SUPERSTREAM_DISABLED" not in env:
        assert "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("Superstream Agent initialized") == 1
        assert [cluster.log_bytes(topic).codecs for topic in topics] == [{"zstd"}] * 3, done.stderr
        assert {report["client_id"] for report in cluster.reports()} == set(LIBRARIES)
    return Seen(done.stdout, headers_of(cluster, topics))


def _compare(cluster: Broker, command: tuple[Path, tuple[str, ...]], program: str, env: dict[str, str]) -> Seen:
    alone = _run(cluster, command, program, {**env, "SUPERSTREAM_DISABLED": "true"})
    both = _run(cluster, command, program, env)
    assert both == alone
    return both


FIRST, LAST = "agent tracer libraries", "tracer libraries agent"
IN_BETWEEN = ("agent libraries tracer", "libraries tracer agent")
CASES = [(tracer, order) for tracer in sorted(TRACERS) for order in (FIRST, LAST)]
RARE = [pytest.param(tracer, order, marks=pytest.mark.matrix_full) for tracer in TRACERS for order in IN_BETWEEN]


@pytest.mark.parametrize(("tracer", "order"), [*CASES, *RARE])
def test_a_tracer_and_the_agent(tracer: str, order: str, cluster: Broker) -> None:
    """AGT-27, AGT-6: in each order of loading the tracer sees what it sees alone, and every library is optimised."""
    python = traced_environment(tracer)
    # -S: the .pth that would load the agent first is not read.
    options, env = ((), {}) if order.startswith("agent") else (("-S",), {"PYTHONPATH": _site(python)})
    seen = _compare(cluster, (python, options), order_of(order, tracer), env)
    assert any(names != [""] for names in seen.headers)  # the tracer was there, for the libraries that it knows


LAUNCHERS = {
    "opentelemetry": ("opentelemetry-instrument", "--traces_exporter", "none"),
    "ddtrace": ("ddtrace-run",),
    "newrelic": ("newrelic-admin", "run-program"),
}


@pytest.mark.parametrize(
    ("tracer", "wrapt"),
    [
        ("opentelemetry", "wrapt<2"),
        pytest.param("opentelemetry", "wrapt>=2", marks=pytest.mark.matrix_full),
        pytest.param("ddtrace", "wrapt<2", marks=pytest.mark.matrix_full),
        pytest.param("ddtrace", "wrapt>=2", marks=pytest.mark.matrix_full),
        pytest.param("newrelic", "wrapt<2", marks=pytest.mark.matrix_full),
    ],
)
def test_a_tracers_own_launcher(tracer: str, wrapt: str, cluster: Broker) -> None:
    """AGT-27: an unchanged program under the tracer's command, with the wrapt versions that both can share."""
    python = traced_environment(tracer, wrapt)
    name, *options = LAUNCHERS[tracer]
    program = HEAD + IMPORT + MAKE + PRODUCE + "produce()\nasyncio.run(produce_async())\n"
    # What a command starts, it finds on PATH; the interpreter is named in full.
    _compare(cluster, (python.with_name(name), (*options, str(python))), program, {})
