"""`superclient lag`: how far a consumer group is behind, and what a lag-aware producer makes of it, live or once.

On a terminal it shows the figures until Ctrl-C, anew every few seconds; elsewhere, or with `--once` or `--json`, once.
It joins no group and commits nothing. The exit status is 0 where the figures were shown, also when stopped by Ctrl-C; 1
where the cluster did not give them, 2 for wrong options.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from superclient.cli import INTERRUPTED, _cluster, _connect, _queues
from superclient.cli._screen import Screen
from superclient.errors import ClusterError, NotAuthorized
from superclient.kafka import face
from superclient.kafka.connection import Connection, OffsetsReader
from superclient.partitioning import Rules
from superclient.partitioning.collectors import EARLIEST, LATEST

_EPILOG = """\
examples:
  superclient lag orders --group billing --bootstrap-servers kafka-1:9092
  superclient lag orders payments --group billing --bootstrap-servers kafka-1:9092 --interval 2
  superclient lag orders --group billing --bootstrap-servers kafka-1:9092 --json | jq '.topics.orders.lag.max'

  orders, group billing: 4 partitions, lag 9,004, largest 8,990

    partition   committed      end     lag    wait   score   share   state
   ──────────────────────────────────────────────────────────────────────────
            0      51,200   51,207       7   0.2 s    0.96   33.2%   healthy
            1      50,912   50,912       0   0.0 s    1.00   33.2%   healthy
            2      42,010   51,000   8,990    75 m    0.00    0.5%   lagging
            3      51,100   51,107       7   0.3 s    0.96   33.2%   healthy

columns:
  lag     records between the group's committed offset and the end of the log; it includes what the group has in hand
          and commits later. Where it has committed nothing: from where it would start (--reset).
  wait    how long a new record waits, as fast as the group worked since the last looks; so it takes two of them
  score   1 for an empty queue down to 0; on a scale relative to the topic's own queues, or with --max-lag N
          1 - lag / N. From 0.5 on a partition is healthy.
  share   of the records without keys, what a lag-aware producer sends there; one that lags keeps a little, to prove
          itself. Without a healthy partition all get the same.
  state   healthy, lagging, recovering (healthy again, with part of its share at first), no leader
"""
_LINES = 8  # of a screen, for each topic, that are not partitions: title, headings, notes, blank lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("topics", nargs="+", metavar="TOPIC", type=_name, help="one or more")
    parser.add_argument("--group", required=True, metavar="NAME", type=_name, help="the consumer group")
    parser.add_argument(
        "--interval", type=_connect.seconds, default=5.0, metavar="SECONDS", help="between two looks (default: 5)"
    )
    parser.add_argument("--once", action="store_true", help="print one table and end, also on a terminal")
    parser.add_argument("--json", action="store_true", help="print one JSON object and end")
    parser.add_argument(
        "--reset",
        choices=(EARLIEST, LATEST),
        default=EARLIEST,
        help="where the group starts that has committed nothing, its auto.offset.reset (default: earliest)",
    )
    parser.add_argument("--max-lag", type=_records, metavar="N", help="records at which a queue scores 0")
    _connect.add_arguments(parser, required=True)


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    text.encode()  # raises, where the library would crash
    return text


def _records(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise ValueError(text)
    return number


_name.__name__, _records.__name__ = "name", "number of records"  # argparse says "invalid … value"


def run(args: argparse.Namespace) -> int:
    """Look, and show what was seen: live on a terminal, else once."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as by Ctrl-C: the terminal gets its cursor back
    console = Screen()
    live = console.is_terminal and not args.once and not args.json
    try:
        settings = _connect.canonical(args)
        connection = _connect.connection(_connect.library(args), settings)
        reader: OffsetsReader = face(connection.library).offsets_reader(connection)
        try:
            return _show(_Asked(args, connection, settings, reader), console, live)
        finally:
            reader.close()
    except _connect.UsageError as error:
        args.usage_error(str(error))
        raise  # not reached: argparse ends the process
    except _connect.NoLibrary as error:
        return _failed(args, str(error))
    except KeyboardInterrupt:
        return 0 if live else INTERRUPTED


class _Asked:
    """What was asked for, and how to look at it."""

    def __init__(
        self, args: argparse.Namespace, connection: Connection, settings: Mapping[str, str], reader: OffsetsReader
    ) -> None:
        self.args, self._connection, self._settings = args, connection, settings
        names = list(dict.fromkeys(args.topics))
        self._watch = _queues.Watch(reader, args.group, names, args.reset, Rules(max_lag=args.max_lag))

    def look(self) -> _queues.Look | str:
        """What is seen now, or why nothing is, in a line."""
        try:
            return self._watch.look(self.args.timeout)
        except ClusterError as error:
            return self._reason(error)

    def _reason(self, error: ClusterError) -> str:
        if isinstance(error, NotAuthorized) and "GROUP" in str(error).upper():
            return f"no right to see group {self.args.group} ({error}): it takes Describe on the group"
        if _cluster.about_topic(error):
            return f"no right to see {', '.join(self.args.topics)} ({error}): it takes Describe on the topic"
        return _cluster.explain(error, self._connection, self._settings, self.args.timeout)


def _show(asked: _Asked, console: Screen, live: bool) -> int:
    args, first = asked.args, asked.look()
    if isinstance(first, str):
        return _failed(args, first)
    if first.missing:
        names, many = ", ".join(first.missing), len(first.missing) > 1
        return _failed(
            args, f"{names}: no such topic{'s' * many} on the cluster, or no right to see {'them' if many else 'it'}"
        )
    if args.json:
        topics = {topic.name: topic.document() for topic in first.topics}
        print(json.dumps({"ok": True, "group": args.group, "at": round(time.time(), 3), "topics": topics}, indent=2))
        return 0
    if not live:
        console.widen()
        console.print(_screen(first, args))
        return 0
    _watch(asked, first, console)
    return 0


def _failed(args: argparse.Namespace, message: str) -> int:
    if args.json:
        print(json.dumps({"ok": False, "error": message}))
    print(f"superclient lag: {message}", file=sys.stderr)
    return 1


def _screen(look: _queues.Look, args: argparse.Namespace, most: int | None = None) -> Group:
    parts: list[RenderableType] = []
    for topic in look.topics:
        parts.append(_queues.table(topic, args.group, most))
        parts += [Text(f"  {note}", "yellow") for note in _queues.notes(topic, args.group, args.reset)]
    return Group(*parts)


def _watch(asked: _Asked, seen: _queues.Look, console: Console) -> None:
    """Show it until somebody stops it; while the cluster does not answer, the last figures with their age."""
    args, trouble = asked.args, ""

    def drawn() -> Group:
        most = max(3, (console.height - 2) // len(seen.topics) - _LINES)
        age = max(0, round(time.monotonic() - seen.at))
        foot = f"  {age} s ago; every {args.interval:g} s; Ctrl-C ends"
        lines = [Text(foot, "dim")]
        if trouble:
            lines.insert(0, Text(f"  these figures are {age} s old: {trouble}", "bold red"))
        return Group(_screen(seen, args, most), *lines)

    # Drawn by a thread of its own twice a second, so that the age is true also while a look takes its time.
    with Live(console=console, get_renderable=drawn, refresh_per_second=2) as screen:
        while True:
            time.sleep(args.interval)
            found = asked.look()
            if isinstance(found, str):
                trouble = found
            else:
                seen, trouble = found, ""
            screen.refresh()
