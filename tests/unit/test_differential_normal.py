"""What the differential tests take out of a program's output, and what they must not."""

from __future__ import annotations

from tests.differential.normal import normal

CONNECTION = "/lib/conn.py:182: ResourceWarning: Unclosed AIOKafkaConnection\n  _warnings.warn(\n"
TRACEMALLOC = "ResourceWarning: Enable tracemalloc to get the object allocation traceback\n"
LOOP = '/lib/streams.py:408: ResourceWarning: loop is closed\n  warnings.warn("loop is closed", ResourceWarning)\n'


def test_the_order_of_what_the_collector_finds_is_chance() -> None:
    """TST-5: the same ResourceWarnings in another order are equal; one more, one less, or other words are not."""
    one = f"before\n{CONNECTION}{TRACEMALLOC}{LOOP}after\n"
    assert normal(one, {}) == normal(f"before\n{LOOP}{CONNECTION}{TRACEMALLOC}after\n", {})
    both = f"{LOOP}{CONNECTION}{TRACEMALLOC}"
    for other in (f"{CONNECTION}{TRACEMALLOC}", f"{LOOP}{LOOP}", f"{both}{LOOP}", both.upper()):
        assert normal(one, {}) != normal(f"before\n{other}after\n", {})
    assert normal(f"before\n{LOOP}after\n", {}) != normal(f"{LOOP}before\nafter\n", {})


def test_a_socket_is_told_of_once() -> None:
    """TST-5: a socket that the collector finds before its transport is no second thing left open; another one is."""
    transport = "/lib/selector_events.py:864: ResourceWarning: unclosed transport <_SelectorSocketTransport fd=9>\n"
    socket = "sys:1: ResourceWarning: unclosed <socket.socket fd=9, family=2, type=1, proto=6>\n"
    assert normal(f"{socket}{TRACEMALLOC}{transport}", {}) == normal(transport, {})
    assert normal(f"{socket.replace('fd=9', 'fd=8')}{transport}", {}) != normal(transport, {})
    assert normal(socket, {}) != normal("", {})
