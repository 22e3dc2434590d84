"""Servers that fork their workers: each worker that produces delivers, has one thread, and reports as itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.environments import PATIENT, clean_environment, environment
from tests.frameworks.libraries import FACES
from tests.frameworks.reports import recommend, uids_of, values
from tests.servers import Broker, wait_for

PYTHON = "3.12"
WORKERS = 2


def server_environment() -> Path:
    """Both forking servers and the task queue in one environment; uWSGI, which is slow to compile, has its own."""
    return environment(
        PYTHON, ["kafka-python", "confluent-kafka", "zstandard", "gunicorn", "celery"], constrained=False
    )


@contextmanager
def server(command: list[str | Path], folder: Path, cluster: Broker, topic: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server with everything it says in `server.log`; its whole process group is ended afterwards."""
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SERVERS": cluster.bootstrap, "TOPIC": topic}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment({**PATIENT, **env}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def ended(process: subprocess.Popen[bytes], folder: Path, by: signal.Signals = signal.SIGTERM) -> str:
    """End a server as its operator would, and see that it was clean; what it has said."""
    process.send_signal(by)
    status = process.wait(30)
    said = (folder / "server.log").read_text()
    assert status == 0, said
    assert "Traceback" not in said
    return said


# --- WSGI -------------------------------------------------------------------------------------------------------------

APP = """
import sys
sys.argv[1:3] = __import__("os").environ["SERVERS"], __import__("os").environ["TOPIC"]
{face}
{preloaded}
producers = {{}}

def app(environ, start_response):
    if os.getpid() not in producers:
        producers[os.getpid()] = make(f"worker-{{os.getpid()}}")
    send(producers[os.getpid()], f"worker-{{os.getpid()}}")
    body = json.dumps([os.getpid(), threads()]).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]

application = app
"""

PRELOADED = """
master = make("master")
send(master, "master")
"""
# What the master leaves to its workers must be at rest; librdkafka's handles do not outlive a fork at all. And uWSGI
# forks without the GIL: where a thread of the master's runs just then, the worker hangs, with the agent and without.
AT_REST = {"kafka-python": "master.flush()", "confluent-kafka": "del master"}
THREADLESS = {"kafka-python": "close(master)", "confluent-kafka": "del master"}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _workers(port: int) -> dict[int, list[str]]:
    """Ask until every worker has answered: pid → its threads of the agent."""
    found: dict[int, list[str]] = {}

    def asked() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                pid, threads = json.load(answer)
                found[pid] = threads
        except ConnectionError:
            return False
        except OSError as error:  # not listening yet
            if not isinstance(getattr(error, "reason", None), ConnectionError):
                raise
        return len(found) == WORKERS

    wait_for(asked, lambda: f"{WORKERS} workers answer: {found}", 40)
    return found


def _all_worked(cluster: Broker, topic: str, port: int) -> None:
    """Both workers deliver, have one thread, and report under uids of their own."""
    found = _workers(port)
    assert list(found.values()) == [["superclient"]] * WORKERS
    clients = [f"worker-{pid}" for pid in found]
    uids = uids_of(cluster, clients)
    assert [len(uid) for uid in uids.values()] == [1] * WORKERS
    assert len(set.union(*uids.values())) == WORKERS
    assert set(clients) <= set(values(cluster, topic))
    assert cluster.log_bytes(topic).codecs == {"zstd"}


def _write_app(folder: Path, library: str, preloaded: str) -> None:
    master = PRELOADED + preloaded if preloaded else ""
    (folder / "app.py").write_text(APP.format(face=FACES[library], preloaded=master))


@pytest.mark.parametrize(
    ("library", "preload"),
    [
        ("kafka-python", False),
        ("kafka-python", True),
        ("confluent-kafka", True),
        pytest.param("confluent-kafka", False, marks=pytest.mark.matrix_full),
    ],
)
def test_gunicorn(library: str, preload: bool, cluster: Broker, topic: str, tmp_path: Path) -> None:
    """AGT-24: gunicorn's workers, plain and with a producer that the master made at import (--preload)."""
    recommend(cluster, topic)
    _write_app(tmp_path, library, AT_REST[library] if preload else "")
    port = _free_port()
    command = [server_environment().with_name("gunicorn"), "-w", str(WORKERS), "-b", f"127.0.0.1:{port}"]
    options = ["--preload"] if preload else []
    with server([*command, *options, "--no-control-socket", "app:app"], tmp_path, cluster, topic) as process:
        _all_worked(cluster, topic, port)
        ended(process, tmp_path)
    assert ("master" in values(cluster, topic)) is preload


# All of uWSGI takes a minute of both cores; forking Python workers is in the part that every profile has.
QUICKLY_COMPILED = {"UWSGI_PROFILE": "pyonly", "CFLAGS": "-O0"}


@pytest.mark.parametrize("library", ["kafka-python", pytest.param("confluent-kafka", marks=pytest.mark.matrix_full)])
@pytest.mark.parametrize("preload", [True, pytest.param(False, marks=pytest.mark.matrix_full)])
def test_uwsgi(
    library: str, preload: bool, cluster: Broker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AGT-24: uWSGI, which never calls the hooks of os.fork, with a producer in the master and without."""
    recommend(cluster, topic)
    _write_app(tmp_path, library, THREADLESS[library] if preload else "")
    port = _free_port()
    home = server_environment().parent.parent
    for name, value in QUICKLY_COMPILED.items():
        monkeypatch.setenv(name, value)
    uwsgi = environment(PYTHON, ["uwsgi"], superclient=False).with_name("uwsgi")
    command: list[Any] = [uwsgi, "--http-socket", f"127.0.0.1:{port}", "--home", home, "--wsgi-file", "app.py"]
    options = ["--master", "--processes", str(WORKERS), "--enable-threads", "--die-on-term"]
    with server([*command, *options], tmp_path, cluster, topic) as process:
        _all_worked(cluster, topic, port)
        ended(process, tmp_path)
    assert ("master" in values(cluster, topic)) is preload


# --- tasks ------------------------------------------------------------------------------------------------------------

TASKS = """
import sys
from celery import Celery
arguments, sys.argv[1:3] = sys.argv[1:3], (__import__("os").environ["SERVERS"], __import__("os").environ["TOPIC"])
{face}
sys.argv[1:3] = arguments
queue = Celery("app", broker="filesystem://")
queue.conf.broker_transport_options = dict.fromkeys(("data_folder_in", "data_folder_out"), "queue")
queue.conf.broker_transport_options["control_folder"] = "control"
producers = {{}}

@queue.task
def produce(number):
    if os.getpid() not in producers:
        producers[os.getpid()] = make(f"worker-{{os.getpid()}}")
    {act}(producers[os.getpid()], f"{{number}} {{os.getpid()}} {{len(threads())}}")
"""

CALL = "from app import produce\nfor number in range(20): produce.delay(number)"


@pytest.mark.parametrize("library", ["kafka-python", "confluent-kafka"])
def test_celery(library: str, cluster: Broker, topic: str, tmp_path: Path) -> None:
    """AGT-24: a prefork pool: every task's record arrives, each process of the pool reports as itself."""
    recommend(cluster, topic)
    with _celery(library, "send", cluster, topic, tmp_path) as process:
        wait_for(lambda: len(cluster.records(topic)) == 20, (tmp_path / "server.log").read_text, 40)
        done = [value.split() for value in values(cluster, topic)]
        pids = {pid for _, pid, _ in done}
        uids = uids_of(cluster, [f"worker-{pid}" for pid in pids])
        ended(process, tmp_path)
    assert {int(number) for number, _, _ in done} == set(range(20))
    assert {threads for _, _, threads in done} == {"1"}
    assert [len(uid) for uid in uids.values()] == [1] * len(pids)
    assert len(set.union(*uids.values())) == len(pids)
    assert cluster.log_bytes(topic).codecs == {"zstd"}


@contextmanager
def _celery(
    library: str, act: str, cluster: Broker, topic: str, folder: Path, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with 20 tasks in its queue."""
    python = server_environment()
    for name in ("queue", "control"):
        (folder / name).mkdir()
    (folder / "app.py").write_text(TASKS.format(face=FACES[library], act=act))
    env = clean_environment({"SERVERS": cluster.bootstrap, "TOPIC": topic, "SUPERSTREAM_DISABLED": "true"})
    subprocess.run([python, "-c", CALL], cwd=folder, env=env, check=True, timeout=60)
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    command = [python.with_name("celery"), "-A", "app", "worker", "-P", "prefork", "-c", str(WORKERS)]
    with server([*command, *quiet, *options], folder, cluster, topic) as process:
        yield process
