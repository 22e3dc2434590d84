"""`python -m tests.servers.gofka --port 0`: the double as a process; prints "port N" once it listens."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import threading
from pathlib import Path

from tests.servers.gofka.broker import Broker
from tests.servers.gofka.state import Options, State
from tests.servers.gofka.tls import Certificates
from tests.servers.ports import free_port


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.gofka", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default): a free one")
    parser.add_argument("--clock", type=float, default=1.0, help="how many of the broker's seconds pass in one")
    parser.add_argument("--leader-after", type=float, default=0.0, metavar="S", help='"not the leader" until then')
    parser.add_argument("--follower", action="store_true", help='"not the leader" for good')
    parser.add_argument("--old-framing", action="store_true", help="replies without a size, as before 2026")
    parser.add_argument("--pieces", action="store_true", help="replies in random pieces")
    parser.add_argument("--advertised", default="", help='the address that Metadata tells, e.g. ":9092"')
    parser.add_argument("--commit-ms", type=float, default=0.0, help="how long a Produce takes")
    parser.add_argument("--rate", type=float, help="Produce requests in a second (a real broker has about 2500)")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="encrypt, and write the authority's PEM there")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin does")
    chosen = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(chosen))


async def _serve(chosen: argparse.Namespace) -> None:
    options = Options(
        clock=chosen.clock,
        leader_after_s=chosen.leader_after,
        follower=chosen.follower,
        old_framing=chosen.old_framing,
        pieces=chosen.pieces,
        advertised=chosen.advertised,
        commit_s=chosen.commit_ms / 1000,
        rate=chosen.rate,
    )
    tls = None
    if chosen.tls_ca is not None:
        certificates = Certificates()
        certificates.write_ca(chosen.tls_ca)
        tls = certificates.server
    broker = Broker(options, State(options), tls, chosen.port or free_port())
    await broker.start()
    print(f"port {broker.port}", flush=True)
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    if chosen.end_with_stdin:
        # A thread, since no loop can watch every kind of stdin; it dies with the process.
        threading.Thread(target=_wait_for_stdin, args=(loop, end), daemon=True).start()
    await end.wait()
    await broker.stop()


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock the interpreter wants when it ends
        pass
    with contextlib.suppress(RuntimeError):  # the loop is closed already
        loop.call_soon_threadsafe(end.set)


if __name__ == "__main__":
    main()
