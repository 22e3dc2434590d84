"""The broker double as tests use it: in a thread with a loop of its own, or as a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tests.servers.gofka.broker import HOST, Broker, Fault
from tests.servers.gofka.state import Options, State
from tests.servers.ports import free_port, release_port

T = TypeVar("T")
_ROOT = Path(__file__).resolve().parents[3]


class GofkaDouble:
    """A broker in a thread; a `with` block starts and ends it. Every method may be called from any thread but its own.

    Arguments are those of `state.Options`, and:
        port: 0 for a free one. ssl: a server's context; what a TLS proxy in front of the broker would show.
        cluster: another double whose replicated messages are this one's too (and nothing else, as on the real one).
    `options` may be changed at any time: `broker.options.follower = True`.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        ssl: ssl.SSLContext | None = None,
        cluster: GofkaDouble | None = None,
        **options: Any,
    ) -> None:
        self.options = Options(**options)
        shared = {} if cluster is None else cluster.state.messages
        self._reserved = 0 if port else free_port()
        self._broker = Broker(self.options, State(self.options, shared), ssl, port or self._reserved)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> GofkaDouble:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gofka-double", daemon=True)
        self._thread.start()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is None:
            return
        try:
            self.stop()
        finally:
            loop, self._loop = self._loop, None
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(10)
            loop.close()
            release_port(self._reserved)

    # --- where it is, and what it has seen

    @property
    def port(self) -> int:
        return self._broker.port

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def state(self) -> State:
        """All that it holds; look, do not touch (from another thread)."""
        return self._broker.state

    @property
    def requests(self) -> Counter[str]:
        """How many of each API have come, by name: "Produce", …, "protobuf"."""
        return self._broker.requests

    @property
    def connections_open(self) -> int:
        return len(self._broker.connections)

    @property
    def connections_total(self) -> int:
        return self._broker.connections_total

    @property
    def connections_blocked(self) -> int:
        """On how many of them replies wait because the client does not read."""
        return self._do(lambda: sum(connection.blocked for connection in self._broker.connections))

    @property
    def most_in_flight(self) -> int:
        """The most requests that one connection had under way, as far as they were held up (`commit_s`, `pause`, …)."""
        return self._broker.most_in_flight

    @property
    def crashed(self) -> str:
        """Not empty: a request came that ends the real broker's process; the double is down until `restart`."""
        return self._broker.crashed

    @property
    def topics(self) -> dict[str, int]:
        """Name → number of partitions, as Metadata lists them."""
        return dict(self.state.topics)

    @property
    def strays(self) -> set[str]:
        """Directories that somebody's Fetch made although Metadata has no such partition."""
        return self._do(lambda: set(self.state.logs) - self.state.folders())

    def log(self, topic: str, partition: int = 0) -> list[bytes]:
        """The messages that Fetch finds, by offset."""
        found = self.state.messages.get(f"{topic}-{partition}")
        return [] if found is None else [value for _, value in sorted(dict(found.by_offset).items())]

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """−1 where there is none."""
        return self.state.offsets.get((group, topic, partition), -1)

    def members(self, group: str) -> dict[str, list[str]]:
        """Member id → its topics; empty where there is no such group."""
        found = self._do(lambda: self.state.groups.by_id.get(group))
        return {} if found is None else {member.id: list(member.topics) for member in list(found.members.values())}

    def generation(self, group: str) -> int:
        """0 where there is no such group."""
        found = self._do(lambda: self.state.groups.by_id.get(group))
        return 0 if found is None else found.generation

    # --- what it holds

    def create_topic(self, name: str, partitions: int = 1) -> None:
        self._do(lambda: self.state.create_topic(name, partitions))

    def produce(self, topic: str, *values: bytes) -> list[int]:
        """Stored past every connection; their offsets. Refused where the broker would refuse it."""
        return self._do(lambda: [self.state.produce(topic, value) for value in values])

    def commit(self, group: str, topic: str, offset: int, partition: int = 0) -> None:
        self._do(lambda: self.state.commit(group, topic, partition, offset))

    def poison(self, topic: str) -> None:
        """Its log file cannot be opened: what consensus has is readable, the end is an error, a Produce is stored and
        answered with an error."""
        self._do(lambda: self.state.poison(topic))

    def hint(self, topic: str, base: int, end: int) -> None:
        """Asked past the end of the topic, it says "out of range [base, end)" whatever the end is."""
        self._do(lambda: self.state.hint(topic, base, end))

    # --- up, down, and time

    def start(self) -> None:
        """Listens (again), with all that it held."""
        self._run(self._broker.start)

    def stop(self) -> None:
        """Down: connections are cut, the port refuses."""
        self._run(self._broker.stop)

    def restart(self, *, poison: bool = True, keep_messages: bool = False, keep_groups: bool = False) -> None:
        """Down and up again on the same port. Commits survive.

        poison: topics that had messages cannot be opened any more, as recorded; without it they are like new.
        keep_messages: consensus brings messages and topics back (the log files stay behind: hints are wrong).
        keep_groups: it ended in order, so the groups are there again, without their members.
        """
        self.stop()
        self._do(lambda: self.state.restart(poison=poison, keep_messages=keep_messages, keep_groups=keep_groups))
        self.start()

    def pause(self) -> None:
        """Takes what comes and answers nothing, connections stay open."""
        self._do(lambda: self._broker.pause(True))

    def resume(self) -> None:
        """Answers what has come meanwhile, and goes on."""
        self._do(lambda: self._broker.pause(False))

    def cut(self) -> None:
        """Resets every connection; new ones are accepted."""
        self._do(self._broker.cut)

    def advance(self, seconds: float) -> None:
        """Lets the broker's time jump: sessions expire, groups age, time limits pass, without anybody's waiting."""
        self._do(lambda: self._broker.advance(seconds))

    # --- faults that happen once

    def close_after(self, n: int = 1, *, reply: str = "whole", api: str | None = None) -> None:
        """Closes the connection on which the nth request from now (of that API) comes.

        reply: "whole": it is answered first; "half": half of the reply is; "none": it is done and not answered;
        "unhandled": it is not even done.
        """
        if reply not in {"whole", "half", "none", "unhandled"}:
            raise ValueError(f"reply={reply!r}")
        self._fault(Fault(reply, n, api))

    def swallow_reply(self, n: int = 1, *, api: str | None = None) -> None:
        """The nth request from now is done and never answered; the connection stays open."""
        self._fault(Fault("swallow", n, api))

    def answer_wrong_correlation(self, n: int = 1, *, api: str | None = None) -> None:
        """The reply to the nth request from now has another id."""
        self._fault(Fault("wrong correlation", n, api))

    def refuse(self, text: str, n: int = 1, *, api: str | None = "Produce", stored: bool = False) -> None:
        """The nth request from now is answered with an error: `text`, after its API's usual prefix.

        stored: it is done all the same.
        """
        self._fault(Fault("refuse", n, api, text, stored))

    def _fault(self, fault: Fault) -> None:
        self._do(lambda: self._broker.faults.add(fault))

    def _do(self, work: Callable[[], T]) -> T:
        async def in_loop() -> T:
            return work()

        return work() if self._loop is None else self._run(in_loop)

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._loop is None:
            raise RuntimeError("the double runs in its `with` block alone")
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)


class GofkaProcess:
    """The double in a process of its own, which ends with the `with` block or with this process, whichever is first.

    Arguments are the options of `python -m tests.servers.gofka` ("old_framing" is --old-framing), True for flags.
    """

    def __init__(self, **options: Any) -> None:
        self._command = [sys.executable, "-m", "tests.servers.gofka", "--end-with-stdin"]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            self._command += [flag] if value is True else [flag, str(value)]

    def __enter__(self) -> GofkaProcess:
        self._process = subprocess.Popen(
            self._command,
            cwd=_ROOT,
            env={**os.environ, "SUPERSTREAM_DISABLED": "true"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("port "):
            self.__exit__()
            raise RuntimeError("the broker double did not start")
        self.port = int(line.split()[1])
        self.address = f"{HOST}:{self.port}"
        self.pid = self._process.pid
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=10)  # closes its stdin, which ends it
        if self._process.poll() is None:
            self.kill()

    def pause(self) -> None:
        """SIGSTOP: connections open, nothing read."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """A crash: the kernel closes its connections."""
        self._signal(signal.SIGKILL)
        self._process.wait(10)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
