"""A confluent-kafka configuration is read as the library reads it, changed in a copy; statistics are added up."""

import json
from typing import Any

from superclient.agent.adapters.confluent import conf, counters
from superclient.agent.adapters.confluent.making import Making
from superclient.agent.model import Counters


def test_keywords_win_and_nothing_is_mutated() -> None:
    """AGT-21: merging makes a new dict; what the library will refuse is not looked at."""
    written = {"linger.ms": 5, "client.id": "a"}
    assert conf.merged((written,), {"client.id": "b"}) == {"linger.ms": 5, "client.id": "b"}
    assert written == {"linger.ms": 5, "client.id": "a"}
    refused: list[tuple[Any, ...]] = [(), ({}, {}), ([],), ({1: 1},)]
    assert [conf.merged(args, {}) for args in refused] == [None] * 4


def test_of_several_aliases_the_last_holds() -> None:
    """AGT-20: in the order of the dict, nested topic settings over the others."""
    written = {"queue.buffering.max.ms": "7", "linger.ms": 9, "acks": 1, "default.topic.config": {"acks": "all"}}
    assert conf.canonical(written) == {"acks": "all", "linger.ms": 9}


def test_a_change_removes_every_alias_first() -> None:
    """AGT-20: librdkafka takes the last alias it meets: none may be left, in no place; the program's dicts stay."""
    nested = {"compression.type": "gzip", "acks": 1}
    written = {"compression.codec": "lz4", "default.topic.config": nested, "queue.buffering.max.ms": 1}
    made = conf.changed(written, {"compression.type": "zstd", "linger.ms": 20})
    assert made == {"default.topic.config": {"acks": 1}, "compression.type": "zstd", "linger.ms": 20}
    assert nested == {"compression.type": "gzip", "acks": 1}


def _making(own: dict[str, Any], exchangeable: bool = True) -> Making:
    return Making(own, {}, exchangeable=exchangeable, statistics=True)


def test_statistics_are_asked_for_where_they_can_be_stopped_alone() -> None:
    """AGT-28: only an exchangeable producer gets statistics; a callback without an interval is never called."""
    calls: list[str] = []
    made = _making({"stats_cb": calls.append})
    made.settings["stats_cb"]("{}")
    assert made.settings["statistics.interval.ms"] == counters.INTERVAL_MS
    assert calls == []
    assert not _making({}, exchangeable=False).touched


def test_statistics_of_the_program_are_listened_to() -> None:
    """AGT-41: its interval stays, its callback has every text; a setting that the library refuses is left to it."""
    calls: list[str] = []
    made = _making({"statistics.interval.ms": "500", "stats_cb": calls.append}, exchangeable=False)
    made.settings["stats_cb"]("{}")
    assert (calls, made.settings["statistics.interval.ms"]) == (["{}"], "500")
    for refused in ({"stats_cb": None}, {"statistics.interval.ms": "often"}, {"statistics.interval.ms": -1}):
        assert _making(refused).settings == refused


def test_a_handle_that_was_left_is_silent() -> None:
    """AGT-23: events of the handle that nobody uses any more do not reach the program."""
    calls: list[object] = []
    made = _making({"error_cb": calls.append})
    made.settings["error_cb"]("first")
    made.retired = True
    made.settings["error_cb"]("second")
    assert calls == ["first"]


def _text(records: int, size: int, batches: int, wire: int) -> str:
    partition = {"0": {"txmsgs": records, "txbytes": size}, "-1": {"txmsgs": 0, "txbytes": 0}}
    window = {"sum": wire, "cnt": batches}
    node = {"nodeid": 1, "txbytes": wire, "txretries": 0, "txerrs": 0, "req": {"Produce": records // 5}}
    return json.dumps(
        {
            "ts": 1,
            "topics": {"orders": {"partitions": partition, "batchsize": window}},
            "brokers": {"a": {**node, "rtt": {"sum": 1000, "cnt": 1}}, "boot": {**node, "nodeid": -1}},
        }
    )


def test_totals_are_told_again_and_windows_add_up() -> None:
    """AGT-41: messages are cumulative, batch sizes and round trips are of one window each."""
    emissions, into = counters.Emissions(1000, ours=True), Counters()
    emissions.keep(_text(10, 1000, 2, 300))
    emissions.keep(_text(15, 1500, 1, 200))
    assert emissions.parse(into)
    assert not emissions.parse(into)
    one, node = into.topics["orders"], into.nodes["1"]
    assert (one.records, one.bytes_before, one.batches, one.bytes_after) == (15, 1500, 3, 500)
    assert (list(into.nodes), node.requests, node.latency_ms, node.latencies) == (["1"], 3, 2.0, 2)


def test_a_lost_window_makes_the_bytes_on_the_wire_unknown() -> None:
    """AGT-41: more texts than may wait: totals hold, and what can no longer be told is absent, not too small."""
    emissions, into = counters.Emissions(1000, ours=False), Counters()
    for number in range(counters.WAITING + 1):
        emissions._waiting.append(_text(number, number * 10, 1, 5))
    emissions.lost = True
    emissions.parse(into)
    assert into.topics["orders"].records == counters.WAITING
    assert into.topics["orders"].bytes_after is None
