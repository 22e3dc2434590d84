"""Programs that fork while the agent is at work: each process reports for itself, and nobody notices the agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.environments import PATIENT, run_program, start_program
from tests.frameworks.libraries import FACES, LIBRARIES, environment_of_all
from tests.frameworks.reports import recommend, uids_of, values
from tests.servers import Broker

# --- os.fork ----------------------------------------------------------------------------------------------------------

FORK = """
parent = make("parent")
send(parent, "parent before")
end_of_child, told = os.pipe()
sys.stdout.flush()
child = os.fork()
if child == 0:
    os.close(told)
    own = make("child")
    send(own, "child")
    print(json.dumps(["child", threads()]), flush=True)
    os.read(end_of_child, 1)
    send(own, "child after")
    close(own)
    os._exit(0)
os.close(end_of_child)
send(parent, "parent after")
serve(parent)
print(json.dumps(["parent", threads()]), flush=True)
sys.stdin.readline()
os.close(told)
print(json.dumps(["status", os.waitpid(child, 0)[1]]), flush=True)
send(parent, "parent at last")
close(parent)
"""


@pytest.mark.parametrize("python", ["3.12", pytest.param("3.13", marks=pytest.mark.matrix_full)])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_child_makes_its_own_producer(library: str, python: str, cluster: Broker, topic: str) -> None:
    """AGT-24: os.fork after a producer exists: both processes deliver, each has one thread and reports as itself."""
    recommend(cluster, topic)
    arguments = (cluster.bootstrap, topic)
    env = {**PATIENT, "SUPERSTREAM_TOPICS_LIST": topic}
    with start_program(environment_of_all(python), FACES[library] + FORK, *arguments, env=env) as process:
        assert process.stdout is not None
        said = dict(json.loads(process.stdout.readline()) for _ in range(2))
        uids = uids_of(cluster, ["parent", "child"])
        out, err = process.communicate("go on\n", timeout=60)
    assert said == {"parent": ["superclient"], "child": ["superclient"]}
    assert (out, process.returncode) == ('["status", 0]\n', 0), err
    assert [len(found) for found in uids.values()] == [1, 1]
    assert not uids["parent"] & uids["child"]
    sent = ["parent before", "child", "parent after", "child after", "parent at last"]
    assert values(cluster, topic) == sorted(sent)
    assert cluster.log_bytes(topic).codecs == {"zstd"}
    assert "Traceback" not in err
    assert err.count("WARNING") == 0, err


WARNING = """
import warnings

def fork():
    with warnings.catch_warnings(record=True) as seen:  # as an error it is swallowed: os.fork has no way to raise it
        warnings.simplefilter("always")
        if os.fork() == 0:
            os._exit(0)
    os.wait()
    return "warned" if seen else "silent"

def alone():
    return len(os.listdir("/proc/self/task")) == 1

def at_rest():
    # The thread that reports waits for its next turn: it runs its own loop, and nobody reads or writes for us.
    names = {one.ident: one.name for one in threading.enumerate()}
    ours = [(names[ident], frame.f_code.co_name) for ident, frame in sys._current_frames().items()
            if names.get(ident, "").startswith("super")]
    # A thread that has ended for Python may still be there for the system, which os.fork asks.
    ended = "confluent_kafka" in sys.modules or len(os.listdir("/proc/self/task")) == threading.active_count()
    return ended and ours in ([], [("superclient", "_run")])

found = []
for number in range(2):
    producer = make(f"client-{number}")
    for _ in range(2):
        send(producer, "x")
        print("sent", flush=True)
        sys.stdin.readline()
        wait(at_rest)
        found.append(fork())
    close(producer)
    del producer
    wait(alone)
    found.append(fork())
print(json.dumps(found))
"""


@pytest.mark.parametrize("python", ["3.12", "3.13"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_fork_warns_where_it_warned_before(library: str, python: str, cluster: Broker, topic: str) -> None:
    """AGT-24: os.fork gives its DeprecationWarning exactly where it gives it without the agent."""
    recommend(cluster, topic, interval_ms=300_000)
    interpreter = environment_of_all(python)
    found = [_warnings(interpreter, library, cluster, topic, disabled) for disabled in ("true", "")]
    assert found[0] == found[1]
    assert found[0].count("silent") == (6 if library == "aiokafka" else 2)  # aiokafka has no thread of its own


def _warnings(python: Path, library: str, cluster: Broker, topic: str, disabled: str) -> list[str]:
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_DISABLED": disabled}
    with start_program(python, FACES[library] + WARNING, cluster.bootstrap, topic, env=env) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for turn in range(4):
            assert process.stdout.readline() == "sent\n", process.communicate(timeout=20)
            if not disabled and turn % 2 == 0:
                client = f"client-{turn // 2}"
                cluster.wait_for_reports(lambda reports, client=client: client in {one["client_id"] for one in reports})
            process.stdin.write("go on\n")
            process.stdin.flush()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found: list[str] = json.loads(out)
    return found


# --- multiprocessing --------------------------------------------------------------------------------------------------

CHILDREN = """
import multiprocessing

def work(name, told):
    global mine  # so it is there when the process ends
    mine = producer = make(name)
    send(producer, name)
    print(json.dumps([name, threads()]), flush=True)
    told.wait(60)
    post(producer, name + " leaves")  # neither awaited nor closed
    PAUSE

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[3])
    told = context.Event()
    producer = make("parent")
    send(producer, "parent")
    children = [context.Process(target=work, args=(f"child-{number}", told)) for number in range(2)]
    for child in children:
        child.start()
    send(producer, "parent after")
    serve(producer)
    print(json.dumps(["parent", threads()]), flush=True)
    sys.stdin.readline()
    told.set()
    for child in children:
        child.join(30)
    print(json.dumps([child.exitcode for child in children]))
    close(producer)
"""

# What a program of the bare library does to have its last record sent: time for the sender, or none where the exit
# handler of the library flushes. A loop that does not turn sends nothing, so aiokafka's turns a moment.
_PAUSE = {
    "kafka-python": "time.sleep(0.05)",
    "confluent-kafka": "time.sleep(0.1)",
    "aiokafka": "run(producer, asyncio.sleep(0.05))",
}


@pytest.mark.parametrize(
    ("method", "python"),
    [
        ("fork", "3.12"),
        ("spawn", "3.12"),
        pytest.param("forkserver", "3.13"),
        pytest.param("fork", "3.13", marks=pytest.mark.matrix_full),
        pytest.param("spawn", "3.13", marks=pytest.mark.matrix_full),
        pytest.param("forkserver", "3.12", marks=pytest.mark.matrix_full),
    ],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_children_of_multiprocessing(library: str, method: str, python: str, cluster: Broker, topic: str) -> None:
    """AGT-24, AGT-25: each child has one thread and reports as itself, and what it wrote last is delivered.

    Up to CPython 3.12 such children skip the exit handlers; the linger that was added is 400 ms.
    """
    recommend(cluster, topic, **{"linger.ms": 400})
    program = FACES[library] + CHILDREN.replace("PAUSE", _PAUSE[library])
    arguments = (cluster.bootstrap, topic, method)
    env = {**PATIENT, "SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_MAX_LINGER_MS": "400"}
    with start_program(environment_of_all(python), program, *arguments, env=env) as process:
        assert process.stdout is not None
        said = dict(json.loads(process.stdout.readline()) for _ in range(3))
        uids = uids_of(cluster, ["parent", "child-0", "child-1"])
        out, err = process.communicate("go on\n", timeout=60)
    assert said == {name: ["superclient"] for name in ("parent", "child-0", "child-1")}
    assert (out, process.returncode) == ("[0, 0]\n", 0), err
    assert [len(found) for found in uids.values()] == [1, 1, 1]
    assert len(set.union(*uids.values())) == 3
    sent = ["parent", "parent after", "child-0", "child-1", "child-0 leaves", "child-1 leaves"]
    assert values(cluster, topic) == sorted(sent)
    assert "Traceback" not in err


NO_PRODUCER = """
import multiprocessing

def work():
    return threads()

if __name__ == "__main__":
    producer = make("parent")
    send(producer, "parent")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(json.dumps([pool.apply(work) for _ in range(2)]))
        pool.close()
        pool.join()
    close(producer)
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_child_without_a_producer_has_no_thread(library: str, cluster: Broker, topic: str) -> None:
    """AGT-24: inherited producers are forgotten: a pool's workers that make none have no thread and say nothing."""
    recommend(cluster, topic)
    done = run_program(environment_of_all("3.12"), FACES[library] + NO_PRODUCER, cluster.bootstrap, topic)
    assert (done.stdout, done.returncode) == ("[[], []]\n", 0), done.stderr
    assert len({report["superstream_client_uid"] for report in cluster.reports()}) == 1
