"""`superclient lag` on made-up offsets: what it works out, shows and says. Real brokers: tests/integration."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import SimpleNamespace

import pytest
from rich.console import Console

from superclient.cli import _queues, lag, main
from superclient.errors import ClusterError, NotAuthorized, Unreachable
from superclient.kafka.connection import Offsets
from superclient.partitioning import Rules

GROUP = "billing"


def offsets(committed: Mapping[int, int], ends: Mapping[int, int], topic: str = "orders") -> Offsets:
    """One topic whose log starts at 5."""
    return Offsets({topic: ends}, {topic: dict.fromkeys(ends, 5)}, {GROUP: {topic: committed}} if committed else {})


class Reader:
    """Hands out what it was given, the last of it for ever; an error is raised."""

    def __init__(self, *found: Offsets | ClusterError) -> None:
        self._found: Iterator[Offsets | ClusterError] = itertools.chain(found, itertools.repeat(found[-1]))
        self.asked: list[Mapping[str, Collection[str]]] = []
        self.closed = False

    def read(self, groups: Mapping[str, Collection[str]], timeout: float) -> Offsets:
        self.asked.append(groups)
        found = next(self._found)
        if isinstance(found, ClusterError):
            raise found
        return found

    def close(self) -> None:
        self.closed = True

    def abandon(self) -> None: ...


EVEN = offsets({0: 100, 1: 200, 2: 300, 3: 400}, {0: 110, 1: 200, 2: 310, 3: 400})
ONE_BEHIND = offsets({0: 100, 1: 200, 2: 300, 3: 400}, {0: 110, 1: 200, 2: 10_300, 3: 400})


def only(look: _queues.Look) -> _queues.Topic:
    (topic,) = look.topics
    return topic


def watch(*found: Offsets | ClusterError, topics: Sequence[str] = ("orders",), **rules: float) -> _queues.Watch:
    return _queues.Watch(Reader(*found), GROUP, topics, rules=Rules(**rules))


def states(topic: _queues.Topic) -> list[str]:
    return [row.state for row in topic.rows]


def test_lag_score_and_share():
    """LAG-1, LAG-4: the lag is end − committed; who lags has a low score and a small share; shares add up to 1."""
    topic = only(watch(ONE_BEHIND).look(1))
    assert [row.lag for row in topic.rows] == [10, 0, 10_000, 0]
    assert [row.committed for row in topic.rows] == [100, 200, 300, 400]
    assert states(topic) == ["healthy", "healthy", "lagging", "healthy"]
    assert sum(row.share for row in topic.rows) == pytest.approx(1)
    assert 0 < topic.rows[2].share < 0.1 < topic.rows[0].share
    assert [row.wait for row in topic.rows] == [None, 0, None, 0]  # how fast a queue moves takes two looks to see


def test_the_absolute_scale():
    """LAG-3: --max-lag N scores 1 − lag / N; with nothing healthy all get the same, which is said."""
    topic = only(watch(ONE_BEHIND, max_lag=20).look(1))
    assert [row.score for row in topic.rows] == [0.5, 1.0, 0.0, 1.0]
    topic = only(watch(offsets({0: 0, 1: 0}, {0: 900, 1: 500}), max_lag=20).look(1))
    assert [row.share for row in topic.rows] == [0.5, 0.5]
    assert _queues.notes(topic, GROUP, "earliest") == [
        "no partition of orders is healthy: producers treat them all alike"
    ]


def test_a_partition_that_recovers():
    """LAG-4: healthy again it is `recovering` as long as its share is smaller, then as the others."""
    looks = watch(ONE_BEHIND, EVEN)
    assert states(only(looks.look(1)))[2] == "lagging"
    found = [only(looks.look(1)).rows[2] for _ in range(5)]
    assert [row.state for row in found if row.share < 0.2] == [row.state for row in found if row.state == "recovering"]
    assert found[0].state == "recovering"
    assert (found[-1].state, found[-1].share) == ("healthy", pytest.approx(0.25))


def test_the_wait_of_a_record():
    """LAG-3: lag in time, as fast as the group worked lately; unknown where it does not move."""
    now = iter([10.0, 12.0])
    reader = Reader(offsets({0: 100, 1: 100}, {0: 600, 1: 600}), offsets({0: 200, 1: 100}, {0: 700, 1: 600}))
    looks = _queues.Watch(reader, GROUP, ["orders"], clock=lambda: next(now))
    assert [row.wait for row in only(looks.look(1)).rows] == [None, None]
    assert [row.wait for row in only(looks.look(1)).rows] == [10.0, None]  # 500 records, 50 a second


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0 s"), (90.0, "90.0 s"), (150.0, "2 m"), (7_300.0, "2 h"), (400_000.0, "5 d")]
)
def test_a_wait_is_short_to_read(seconds: float, shown: str):
    """Seconds with a tenth, then whole minutes, hours, days."""
    assert _queues._duration(seconds) == shown


def test_a_group_that_has_committed_nothing():
    """LAG-1: measured from the log start, or the end by --reset latest, never from 0; and it is said."""
    topic = only(watch(offsets({}, {0: 105, 1: 25})).look(1))
    assert [row.lag for row in topic.rows] == [100, 20]
    (note,) = _queues.notes(topic, GROUP, "earliest")
    assert "has committed nothing for orders (is its name right?): measured from the log start" in note
    latest = _queues.Watch(Reader(offsets({}, {0: 105})), GROUP, ["orders"], "latest")
    assert only(latest.look(1)).lags == [0]
    topic = only(watch(offsets({0: 100}, {0: 105, 1: 25})).look(1))
    (note,) = _queues.notes(topic, GROUP, "latest")
    assert note == "group billing has committed nothing in partition 1 of orders: measured from the log end"


def test_a_partition_without_a_leader():
    """LAG-1: it is listed, without figures; also the last one, once it was seen."""
    looks = watch(EVEN, offsets({0: 100}, {0: 110, 1: 5, 2: 5}))
    looks.look(1)
    rows = only(looks.look(1)).rows
    assert [row.state for row in rows] == ["healthy", "healthy", "healthy", "no leader"]
    assert rows[3][1:] == (None, None, None, None, None, 0.0, "no leader")


def test_a_topic_that_grows_and_goes_and_comes_back():
    """LAG-2: new partitions appear; a topic that is deleted keeps its last figures, which is said; then anew."""
    looks = watch(EVEN, offsets({0: 1}, dict.fromkeys(range(6), 1)), Offsets({}), offsets({0: 5}, {0: 12}))
    assert len(only(looks.look(1)).rows) == 4
    assert len(only(looks.look(1)).rows) == 6
    gone = only(looks.look(1))
    assert gone.gone
    assert len(gone.rows) == 6
    assert _queues.notes(gone, GROUP, "earliest") == [
        "orders is not on the cluster any more: these are its last figures"
    ]
    back = only(looks.look(1))
    assert (back.gone, back.lags) == (False, [7])


def test_a_topic_that_was_never_there_is_missing():
    """LAG-2: one that is there is shown beside it by whoever wants to."""
    look = watch(EVEN, topics=["orders", "no-such"]).look(1)
    assert look.missing == ["no-such"]
    assert only(look).name == "orders"


def test_only_the_longest_queues_fit():
    """A topic with more partitions than lines shows the longest queues, in order, and says so."""
    ends = {p: 100 + p for p in range(50)}
    topic = only(watch(offsets(dict.fromkeys(ends, 100), ends)).look(1))
    console = Console(width=80)
    with console.capture() as captured:
        console.print(_queues.table(topic, GROUP, most=3))
    said = captured.get()
    assert "orders, group billing: 50 partitions, the 3 longest queues of 50 shown, lag 1,225, largest 49" in " ".join(
        said.split()
    )
    assert [line.split()[0] for line in said.splitlines() if "healthy" in line] == ["47", "48", "49"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command on a Reader; (status, stdout, stderr)."""

    def run(reader: Reader, *words: str, topics: Sequence[str] = ("orders",)) -> tuple[int, str, str]:
        monkeypatch.setattr(lag, "face", lambda library: SimpleNamespace(offsets_reader=lambda connection: reader))
        monkeypatch.setattr(lag.signal, "signal", lambda *of: None)
        monkeypatch.setattr(lag._cluster, "explain", lambda error, *rest: f"explained: {error}")
        status = main(["lag", *topics, "--group", GROUP, "--bootstrap-servers", "kafka:9092", *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_json(command):
    """LAG-1: one document with exact numbers; the reader is closed."""
    reader = Reader(ONE_BEHIND)
    status, out, err = command(reader, "--json", "--max-lag", "20")
    assert (status, err, reader.closed) == (0, "", True)
    found = json.loads(out)
    assert (found["ok"], found["group"]) == (True, GROUP)
    orders = found["topics"]["orders"]
    assert orders["lag"] == {"total": 10_010, "max": 10_000, "median": 5}
    assert orders["uncommitted"] == []
    first = {"partition": 0, "committed": 100, "end": 110, "lag": 10, "score": 0.5, "state": "healthy"}
    assert orders["partitions"][0].items() >= first.items()


def test_no_terminal_is_one_table(command):
    """Where stdout is no terminal the table comes once, within 80 columns."""
    reader = Reader(ONE_BEHIND)
    status, out, err = command(reader)
    assert (status, err, len(reader.asked)) == (0, "", 1)
    assert out.count("partition ") == 1
    assert "lag 10,010, largest 10,000" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_narrow_terminal_hides_no_figure(command, monkeypatch: pytest.MonkeyPatch):
    """LAG-1: rich would leave out the cells of a table that is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "20")
    _, out, _ = command(Reader(ONE_BEHIND))
    assert "10,000" in out
    assert "healthy" in out


def test_each_topic_once(command):
    """A topic that is named twice is looked at once."""
    reader = Reader(EVEN)
    _, out, _ = command(reader, "--json", "--once", topics=["orders", "orders"])
    assert list(json.loads(out)["topics"]) == ["orders"]
    assert reader.asked[0] == {GROUP: ["orders"]}


REFUSED = Offsets({"orders": {0: 1}}, refused={GROUP: NotAuthorized("GroupAuthorizationFailedError")})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Offsets({}), "orders: no such topic on the cluster, or no right to see it"),
        (REFUSED, "no right to see group billing (GroupAuthorizationFailedError): it takes Describe on the group"),
        (NotAuthorized("TOPIC_AUTHORIZATION_FAILED"), "no right to see orders (TOPIC_AUTHORIZATION_FAILED): it takes "),
        (Unreachable("no answer within 5 s"), "explained: no answer within 5 s"),
    ],
    ids=["missing", "group", "topic", "away"],
)
def test_what_went_wrong_is_one_line(command, found, said: str):
    """LAG-2: status 1 and one line; with --json it is in the object too."""
    reader = Reader(found)
    status, out, err = command(reader)
    assert (status, out, reader.closed) == (1, "", True)
    assert err.startswith(f"superclient lag: {said}")
    assert len(err.splitlines()) == 1
    status, out, err = command(Reader(found), "--json")
    assert (status, json.loads(out)["ok"]) == (1, False)
    assert err.strip().endswith(json.loads(out)["error"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-lag", "0"], "invalid number of records value: '0'"),
        (["--interval", "0"], "invalid number of seconds value: '0'"),
        (["--reset", "none"], "invalid choice: 'none'"),
        (["--group", " "], "invalid name value: ' '"),
        (["--sasl-username", "app"], "the password is missing"),
    ],
)
def test_wrong_options_are_status_2(command, capsys: pytest.CaptureFixture[str], words: list[str], said: str):
    """A usage error names what is wrong, before anything is connected to."""
    with pytest.raises(SystemExit) as ended:
        command(Reader(EVEN), *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]):
    """The help has examples, one screen, and what its columns mean."""
    with pytest.raises(SystemExit) as ended:
        main(["lag", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for part in ("superclient lag orders --group billing", "| jq", "lagging", "share   of the records without keys"):
        assert part in said
