"""`superclient demo`: the whole loop in under a minute, measured, on a cluster that needs neither Java nor Docker.

One sample program per library runs twice, unchanged: first with SUPERSTREAM_DISABLED=true, then with the agent and a
recommendation for its topic. How it is measured: the programs reach the brokers through a counting proxy (`_wire`),
which sees each request's length and kind, so bytes and produce requests are counted exactly and outside of the agent;
that all records arrived is read from the brokers' end offsets; the awaited sends are timed by the programs themselves.
What the agent sends on its own (reports, its reading of the recommendations) is counted apart and shown. The brokers
are librdkafka's mock cluster in this process: answers come as fast as loopback, so a real network's latency, which lets
a program without linger gather somewhat larger batches, is missing; `--bootstrap-servers` names a real cluster instead.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import signal
import sys
from typing import Any, NamedTuple

import confluent_kafka  # noqa: F401  (without it there is no demo, and the caller names the pip line)
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from superclient.cli import INTERRUPTED, _libraries
from superclient.cli._screen import Screen
from superclient.cli._stage import Stage
from superclient.cli._trial import Cost, TrialFailed, measure
from superclient.cli._wire import Wire
from superclient.errors import ClusterError

AWAITED = 40
LINGER_MS = 5
BATCH_BYTES = 65536

_EPILOG = """\
examples:
  superclient demo
  superclient demo --records 20000 --linger 20
  superclient demo --bootstrap-servers localhost:9092     a real cluster, without TLS; its topics are deleted afterwards
  superclient demo --json | jq .libraries
"""
_ZSTD = {"kafka-python": "zstandard", "aiokafka": "cramjam"}


class Comparison(NamedTuple):
    """A library's two runs, what was recommended, and what its agent reported."""

    topic: str
    recommended: dict[str, object]
    without: Cost
    with_agent: Cost
    client_info: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("--records", type=_positive, default=5000, help="of each program (default: 5000)")
    parser.add_argument("--linger", type=_positive, default=LINGER_MS, metavar="MS", help="to recommend (default: 5)")
    parser.add_argument("--bootstrap-servers", metavar="HOST:PORT,...", help="a real cluster instead of the mock one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _positive(text: str) -> int:
    number = int(text)
    if not 0 < number <= 1_000_000:
        raise ValueError(text)
    return number


_positive.__name__ = "number"  # argparse says "invalid … value"


def run(args: argparse.Namespace) -> int:
    """Play it and show what came out; 130 where somebody stopped it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as by Ctrl-C: nothing is left running
    progress = Console(stderr=True)
    try:
        found = _play(args, progress)
    except KeyboardInterrupt:
        progress.print("stopped")
        return INTERRUPTED
    except (ClusterError, TrialFailed) as error:
        print(f"superclient demo: {error}", file=sys.stderr)
        return 1
    missing = [name for name in _libraries.NAMES if name not in found]
    if args.json:
        print(json.dumps(_document(args, found, missing), indent=2))
    else:
        _show(Screen(), args, found, missing)
    return 0


def _play(args: argparse.Namespace, progress: Console) -> dict[str, Comparison]:
    libraries = [name for name in reversed(_libraries.NAMES) if name in _libraries.installed()]
    topics = {name: f"superclient-demo-{name}-{os.getpid()}" for name in libraries}
    found = {}
    with (
        progress.status("starting the cluster") as status,
        Stage(args.bootstrap_servers) as stage,
        Wire(stage.brokers) as wire,
    ):
        stage.prepare(list(topics.values()))
        recommended = {name: _recommendation(name, args.linger) for name in libraries}
        stage.publish({topics[name]: recommended[name] for name in libraries})
        for name, topic in topics.items():
            costs = []
            for agent in (False, True):
                status.update(f"{name}: {args.records} records, {'with' if agent else 'without'} the agent")
                cost = measure(name, stage, wire, topic, records=args.records, awaited=AWAITED, agent=agent)
                costs.append(cost)
            found[name] = Comparison(topic, recommended[name], costs[0], costs[1], _client_info(stage, name))
    return found


def _recommendation(library: str, linger: int) -> dict[str, object]:
    needed = _ZSTD.get(library)
    zstd = needed is None or importlib.util.find_spec(needed) is not None
    return {"compression.type": "zstd" if zstd else "gzip", "batch.size": BATCH_BYTES, "linger.ms": linger}


def _client_info(stage: Stage, library: str) -> dict[str, Any]:
    """The last client_info of a program with this library; empty where none was reported."""
    infos = [
        report
        for report in stage.reports()
        if report.get("message_type") == "client_info" and f"({library})" in str(report.get("language"))
    ]
    return max(infos, key=lambda report: int(report.get("sequence", 0)), default={})


def _document(args: argparse.Namespace, found: dict[str, Comparison], missing: list[str]) -> dict[str, object]:
    libraries = {
        name: {
            "version": importlib.metadata.version(name),
            "topic": one.topic,
            "recommended": one.recommended,
            "without": one.without.document(),
            "with": one.with_agent.document(),
            "ratio": {row.key: _ratio(*row.values(one)) for row in _ROWS},
            "client_info": one.client_info,
        }
        for name, one in found.items()
    }
    cluster = args.bootstrap_servers or "mock"
    left_out = {name: _libraries.pip_line(name) for name in missing}
    return {"cluster": cluster, "records": args.records, "libraries": libraries, "left_out": left_out}


class _Row(NamedTuple):
    """A figure of the table: its label, its name in a Cost, and how it is written."""

    label: str
    key: str
    form: str

    def values(self, one: Comparison) -> tuple[float, float]:
        return getattr(one.without, self.key), getattr(one.with_agent, self.key)


_ROWS = (
    _Row("bytes on the wire", "bytes", "{:,.0f}"),
    _Row("produce requests", "requests", "{:,.0f}"),
    _Row("records per request", "records_per_request", "{:.1f}"),
    _Row("awaited send, ms", "awaited_ms", "{:.2f}"),
)


def _ratio(without: float, with_agent: float) -> float | None:
    return round(with_agent / without, 3) if without else None


def _show(console: Console, args: argparse.Namespace, found: dict[str, Comparison], missing: list[str]) -> None:
    table = Table(title=f"{args.records:,} events, then {AWAITED} awaited sends (median), without and with the agent")
    table.add_column("library")
    table.add_column("")
    for column in ("without", "with", "ratio"):
        table.add_column(column, justify="right")
    for name, one in found.items():
        for row in _ROWS:
            pair = row.values(one)
            first = f"{name} {importlib.metadata.version(name)}" if row is _ROWS[0] else ""
            ratio = _ratio(*pair)
            cells = [row.form.format(value) for value in pair]
            table.add_row(first, row.label, *cells, "" if ratio is None else f"{ratio:.2f}")
        table.add_section()
    console.print(table)
    own = ", ".join(f"{one.with_agent.agent_bytes:,} for {name}" for name, one in found.items())
    console.print(f"Bytes that the agent sent itself, not in the table: {own}.")
    if any(one.with_agent.awaited_ms > one.without.awaited_ms + args.linger / 2 for one in found.values()):
        console.print(f"An awaited send may wait for the recommended linger of {args.linger} ms.")
    lines = [line for name, one in found.items() for line in _info_lines(name, one)]
    console.print(Panel("\n".join(lines), title="what the agents reported (client_info)", expand=False))
    for name in missing:
        console.print(f"Left out: {name}, which is not installed: {_libraries.pip_line(name)}", markup=False)


def _info_lines(name: str, one: Comparison) -> list[str]:
    info = one.client_info
    if not info:
        return [f"{name}: nothing arrived"]
    original, optimized = info.get("original_configuration") or {}, info.get("optimized_configuration") or {}
    settings = [setting for setting in one.recommended if original.get(setting) != optimized.get(setting)]
    changes = [f"{setting} {original.get(setting)} -> {optimized.get(setting)}" for setting in settings]
    return [f"{info.get('language')}, {info.get('client_id')}: {', '.join(changes) or 'nothing changed'}"]
