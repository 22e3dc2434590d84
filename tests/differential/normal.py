"""Takes out of a program's output what differs between any two runs of it, and what the agent may add to it.

The accepted differences are all here, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PREFIX = "[superstream] "

# What differs between two runs of one program, with or without an agent.
_CHANCE = (
    (re.compile(r"0x[0-9a-fA-F]{4,}"), "0xADDRESS"),
    (re.compile(r"\bfd=\d+"), "fd=N"),
    (re.compile(r"\bid='\d+'"), "id='N'"),
    (re.compile(r"127\.0\.0\.1', \d+\)"), "127.0.0.1', PORT)"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]?\d*"), "TIME"),
    (re.compile(r"%\d\|\d+\.\d+\|"), "%N|TIME|"),  # librdkafka's log lines
    (re.compile(r"\bafter \d+ms\b"), "after N ms"),
    (re.compile(r"\b\d+(\.\d+)?(e-\d+)? ?(ms|s|secs|seconds)\b"), "N seconds"),
    (re.compile(r"\bsuperclient-program-\w+"), "FOLDER"),
    (re.compile(r"(?m)^(  File .*?)(/[^\"]*/)?(lib/python3)"), r"\1\3"),
    (re.compile(r"(?m)^.*Coordinator load in progress.*\n"), ""),  # the broker's first transaction
    (re.compile(r"(?m)^Executing <.*> took .* seconds\n"), ""),  # a loop in debug mode, of any step on a busy machine
    (re.compile(r"rdkafka#producer-\d+"), "rdkafka#producer-N"),
    (re.compile(r"\bThread-\d+"), "Thread-N"),
    (re.compile(r"\bTask-\d+"), "Task-N"),  # aiokafka makes one for each request, of which full batches need fewer
)

# A frame of ours in a traceback is accepted: the agent's wrappers are between the program and the library, and hiding
# them would cost more than it is worth. Nothing else of the traceback may differ.
_OURS = re.compile(r'^ *File ".*(/superclient/|/wrapt/|superclient .*importlib\._bootstrap)')
_FRAME = re.compile(r'^ *File "')

# What a program never closed is told of by the garbage collector, in the order in which it finds it: that depends on
# how many objects were made before, by anybody. The same warnings must be there; their order may differ, and a socket
# whose transport is told of may be told of itself, where it is found first.
_LEFT_OPEN = re.compile(r"(?m)^.*: ResourceWarning: .*\n(?:  .*\n)?(?:ResourceWarning: Enable tracemalloc .*\n)?")
_TRANSPORT = re.compile(r"ResourceWarning: unclosed transport <\w+ fd=(\d+)>")
_ALL_LEFT_OPEN = re.compile(rf"(?m)(?:{_LEFT_OPEN.pattern[4:]})+")


def without_ours(text: str, ours: str = "") -> tuple[str, list[str]]:
    """The text without the agent's lines, and those; `ours` tells how the program's own logging makes them begin."""
    kept, taken = [], []
    pattern = re.compile(f"{re.escape(PREFIX)}|{ours}" if ours else re.escape(PREFIX))
    for line in text.splitlines(keepends=True):
        # The agent writes whole lines, but a library may have left one unfinished before.
        start = pattern.search(line) if not ours else pattern.match(line)
        if start is None:
            kept.append(line)
        else:
            kept.append(line[: start.start()])
            taken.append(line[start.start() :].rstrip("\n"))
    return "".join(kept), taken


def normal(text: str, names: Mapping[str, str]) -> str:
    """The text with chance replaced; `names` are this run's own (topic, port, pid) → what stands for them."""
    for own, general in sorted(names.items(), key=lambda item: -len(item[0])):
        text = re.sub(rf"(?<!\w){re.escape(own)}(?!\w)", general, text)
    text = _without_sockets_of_transports(_without_frames(text))
    for pattern, general in _CHANCE:
        text = pattern.sub(general, text)
    return _ALL_LEFT_OPEN.sub(lambda found: "".join(sorted(_LEFT_OPEN.findall(found[0]))), text)


def _without_sockets_of_transports(text: str) -> str:
    told = tuple(f"unclosed <socket.socket fd={number}," for number in _TRANSPORT.findall(text))
    return _LEFT_OPEN.sub(lambda found: "" if any(mark in found[0] for mark in told) else found[0], text)


def _without_frames(text: str) -> str:
    kept = []
    skipping = 0
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip())
        if _OURS.match(line):
            skipping = indent + 1
            continue
        if skipping and indent >= skipping and not _FRAME.match(line):
            continue  # the source line of that frame, and the marks below it
        skipping = 0
        kept.append(line)
    return "".join(kept)
