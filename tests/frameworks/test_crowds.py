"""Many producers in one process, and the forms of argument that programs use: what each costs, and what it leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.environments import run_program
from tests.faults import Proxy
from tests.frameworks.libraries import FACES, LIBRARIES, environment_of_all
from tests.frameworks.reports import recommend, values
from tests.servers import Broker

PYTHON = "3.12"


def run(
    library: str, program: str, where: str, topic: str, *, disabled: bool = False, timeout: float = 60, **env: str
) -> Any:
    """What a program of the library prints, as JSON; it ends well and without a traceback."""
    env |= {"SUPERSTREAM_TOPICS_LIST": topic}
    env |= {"SUPERSTREAM_DISABLED": "true"} if disabled else {}
    done = run_program(environment_of_all(PYTHON), FACES[library] + program, where, topic, env=env, timeout=timeout)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert disabled or done.stderr.count("WARNING") == 0, done.stderr
    return json.loads(done.stdout)


HUNDRED = """
started = []
start = threading.Thread.start
def counting(thread):
    started.append(thread.name)
    start(thread)
threading.Thread.start = counting
producers = [make(f"client-{number}") for number in range(100)]
for producer in producers:
    send(producer, "x")
ours = [name for name in started if name.startswith("superclient")]
for producer in producers:
    close(producer)
print(json.dumps(ours))
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_hundred_producers_fetch_once(library: str, cluster: Broker, topic: str) -> None:
    """AGT-28, AGT-23: a hundred producers to one cluster: one fetch, one thread, and few connections for reports."""
    recommend(cluster, topic, interval_ms=300_000)
    asked = {}
    for disabled in (True, False):
        # Every client asks an address that it was given first: through the proxy, where it is counted.
        with Proxy(int(cluster.bootstrap.rpartition(":")[2])) as proxy:
            ours = run(library, HUNDRED, proxy.bootstrap, topic, disabled=disabled)
            asked[disabled] = proxy.connections
        assert sorted(ours) == ([] if disabled else ["superclient", "superclient-fetch"])
    assert asked[False] - asked[True] < 20, asked
    assert values(cluster, topic) == ["x"] * 200


DROPPED = """
import gc
def descriptors():
    return len(os.listdir("/proc/self/fd"))
def some(count):
    for number in range(count):
        producer = make(f"client-{number}")
        send(producer, "x")
        END
    del producer
    gc.collect()
some(1)
wait(lambda: not threads())
before = descriptors()
some(10)
wait(lambda: not threads() and descriptors() <= before, 10)
print(json.dumps(descriptors() - before))
"""


# An aiokafka producer that is never stopped is not collected, ever: the tasks of its loop hold it.
ENDS = [(library, "close(producer)") for library in LIBRARIES] + [("confluent-kafka", "pass"), ("kafka-python", "pass")]


@pytest.mark.parametrize(("library", "end"), ENDS)
def test_producers_leave_no_descriptor(library: str, end: str, cluster: Broker, topic: str) -> None:
    """AGT-28: ten producers made and closed, or only dropped, leave as many descriptors as without the agent."""
    recommend(cluster, topic)
    left = [run(library, DROPPED.replace("END", end), cluster.bootstrap, topic, disabled=on) for on in (True, False)]
    assert left[1] <= left[0]


WEIGHT = """
import gc, tracemalloc
def traced():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
producers = [make(f"client-{number}") for number in range(5)]
for producer in producers:
    send(producer, "x")
tracemalloc.start(1)
before = traced()
more = [make(f"client-{number}") for number in range(40)]
for producer in more:
    send(producer, "x")
print(json.dumps((traced() - before) / len(more)))
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_tracked_producer_is_light(library: str, cluster: Broker, topic: str) -> None:
    """AGT-28: a producer that the agent tracks takes at most 20 KB more than one of the bare library."""
    recommend(cluster, topic, interval_ms=300_000)
    bare, tracked = (run(library, WEIGHT, cluster.bootstrap, topic, disabled=disabled) for disabled in (True, False))
    assert tracked - bare < 20_000, (bare, tracked)


THOUSAND = """
import gc
def some(count):
    for number in range(count):
        producer = make(f"client-{number}")
        send(producer, "x")
        close(producer)
    del producer
    wait(lambda: not threads(), 60)
    gc.collect()
    return sys.getallocatedblocks()
some(50)
before = some(50)
print(json.dumps([some(900) - before, threads()]))
"""


@pytest.mark.soak
@pytest.mark.timeout(175)
@pytest.mark.parametrize("library", ["confluent-kafka", "kafka-python"])
def test_a_thousand_producers_leave_nothing_behind(library: str, cluster: Broker, topic: str) -> None:
    """AGT-28, AGT-25: made, used and closed, they leave no thread, and memory is as after fifty."""
    recommend(cluster, topic)
    grown, left = run(library, THOUSAND, cluster.bootstrap, topic, timeout=170)
    assert left == []
    assert grown < 900 * 3  # blocks of memory a producer, while one takes hundreds


# --- arguments --------------------------------------------------------------------------------------------------------

FORMS = {
    "kafka-python": """
forms = [dict(bootstrap_servers=servers, client_id=None) for servers in (where, [where], (where,), {where})]
forms += [dict(bootstrap_servers=where, client_id="pinned", api_version=(2, 6))]
for form in forms:
    producer = KafkaProducer(**form)
    send(producer, "x")
    close(producer)
""",
    "aiokafka": """
forms = [dict(bootstrap_servers=servers, client_id=None) for servers in (where, [where], (where,), {where})]
forms += [dict(bootstrap_servers=where, client_id="pinned")]
async def all_forms():
    for form in forms:
        try:
            async with AIOKafkaProducer(**form) as producer:
                await producer.send_and_wait(topic, b"x")
        except Exception as error:
            print(type(error).__name__)
asyncio.run(all_forms())
""",
    "confluent-kafka": """
forms = [{"bootstrap.servers": where}, {"metadata.broker.list": where}, {"bootstrap.servers": f"{where},{where}"}]
forms += [{"bootstrap.servers": where, "client.id": "pinned", "api.version.request": True}]
for form in forms:
    for producer in (Producer(form), Producer(**form)):
        send(producer, "x")
    del producer
""",
}
AFTERWARDS = """
print(json.dumps(len(forms)))
sys.stdout.close()
os.close(1)
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_arguments_in_every_form(library: str, cluster: Broker, topic: str) -> None:
    """AGT-28: no client id, servers in each form that the library takes, a pinned version, stdout closed at the end."""
    recommend(cluster, topic)
    program = FORMS[library] + AFTERWARDS
    bare, agent = (run(library, program, cluster.bootstrap, topic, disabled=disabled) for disabled in (True, False))
    assert agent == bare
    told = cluster.wait_for_reports(lambda reports: "pinned" in {report["client_id"] for report in reports})
    assert len({report["superstream_client_uid"] for report in told}) == agent * (
        2 if library == "confluent-kafka" else 1
    )


PINNED = """
from kafka.net.manager import KafkaConnectionManager as Manager
made = []
construct = Manager.__init__
def noting(manager, *args, **settings):
    made.append([str(settings.get("client_id")), settings.get("api_version")])
    construct(manager, *args, **settings)
Manager.__init__ = noting
producer = KafkaProducer(bootstrap_servers=where, client_id="mine", api_version=(2, 6))
send(producer, "x")
close(producer)
wait(lambda: not threads())
print(json.dumps([version for name, version in made if name.startswith("superstreamlib-")]))
"""


def test_a_pinned_version_holds_for_our_own_clients(cluster: Broker, topic: str) -> None:
    """AGT-28: an api_version that the program wrote is that of the internal clients too: nothing is probed."""
    recommend(cluster, topic)
    versions = run("kafka-python", PINNED, cluster.bootstrap, topic)
    assert versions
    assert {tuple(version) for version in versions} == {(2, 6)}
