"""The one thread, asked to stop for a fork at the very moment that another thread starts it."""

from __future__ import annotations

import threading

import pytest

from superclient.agent.heartbeat import Heartbeat


def test_a_fork_may_come_while_the_thread_is_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """AGT-24: a thread cannot be joined before it is started; the hook of os.fork must not complain of that."""
    starting, go_on = threading.Event(), threading.Event()
    start = threading.Thread.start

    def slowly(self: threading.Thread) -> None:
        if self.name == "superclient":
            starting.set()
            go_on.wait(10)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", slowly)
    heartbeat = Heartbeat(lambda: None)
    other = threading.Thread(target=heartbeat.ensure, name="the library's")
    other.start()
    assert starting.wait(10)
    heartbeat.stop(0.01)
    go_on.set()
    other.join(10)
    heartbeat.stop(10)
    assert not heartbeat.alive
