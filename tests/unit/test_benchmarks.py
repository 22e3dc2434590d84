"""The benchmarks start, and count right; what they measure is for people to read, nothing here is timed."""

import importlib
import json
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

import benchmarks.all as everything
from benchmarks import _design, _pictures, _report, _statistics, _svg, chosen, lag, smart, sweep, throughput, wire
from benchmarks._harness import BARE, LIBRARIES, OTHER, OURS, Arm, Results, configured, interleave, turns
from benchmarks.programs.events import events

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name", [f"benchmarks.{name}" for name in (*everything.NAMES, *everything.SEPARATE)] + ["benchmarks"]
)
def test_each_program_explains_itself(name: str) -> None:
    """TST-6: one command each; --help needs neither a server nor an environment."""
    done = subprocess.run([sys.executable, "-m", name, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


def test_every_program_is_in_the_list() -> None:
    """`make bench` leaves none out but those that say so."""
    found = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    assert found == {*everything.NAMES, *everything.SEPARATE, "all"}


def test_a_spread_is_the_median_and_the_quartiles() -> None:
    """Of 1 … 9: 5, from 3 to 7; one sample stands for itself."""
    assert _statistics.spread([9, 1, 8, 2, 7, 3, 6, 4, 5]) == _statistics.Spread(5, 3, 7, 9)
    assert _statistics.spread([4.0]) == _statistics.Spread(4.0, 4.0, 4.0, 1)


def test_a_ratio_compares_what_ran_side_by_side() -> None:
    """A machine that becomes three times as slow between two rounds does not change a ratio of 1.1."""
    bare = [10.0, 30.0, 10.0, 30.0, 10.0]
    found = _statistics.ratio([value * 1.1 for value in bare], bare)
    assert found.median == pytest.approx(1.1)
    assert found.low == pytest.approx(1.1)
    assert found.high == pytest.approx(1.1)


def test_an_interval_holds_the_median_and_narrows_with_more_samples() -> None:
    """The bootstrap is deterministic: the same samples give the same interval."""
    few, many = [1.0, 1.2, 0.9, 1.1, 1.0], [1.0, 1.2, 0.9, 1.1, 1.0] * 20
    ones = [1.0] * 100
    wide, narrow = _statistics.ratio(few, ones[:5]), _statistics.ratio(many, ones)
    assert wide.low <= wide.median <= wide.high
    assert narrow.high - narrow.low < wide.high - wide.low
    assert _statistics.ratio(few, ones[:5]) == wide


def test_rounds_of_different_length_are_a_mistake() -> None:
    """A pair is one round; what has no partner must not be compared."""
    with pytest.raises(ValueError, match="argument 2 is longer"):
        _statistics.difference([1.0], [1.0, 2.0])


def _arms() -> list[Arm]:
    return [Arm(name, Path("python")) for name in (BARE, OURS, OTHER)]


def test_every_arm_runs_in_every_round_and_each_begins_one() -> None:
    """TST-6: A B C, B C A, C A B."""
    order = [arm.name for _, arm in turns(_arms(), 3)]
    assert order == [BARE, OURS, OTHER, OURS, OTHER, BARE, OTHER, BARE, OURS]


def test_an_arm_that_took_too_long_is_not_asked_again() -> None:
    """It would cost the run its limit in every round; its cell says why there is no number."""
    asked: list[str] = []

    def one(arm: Arm) -> dict[str, float] | str:
        asked.append(arm.name)
        return "> 5 s" if arm.name == OTHER else {"ms": 2.0 if arm.name == OURS else 1.0}

    results = interleave(_arms(), 4, one)
    assert asked.count(OTHER) == 1
    row = _report.compare("call", results, "ms", goal=1.5, unit="ms")
    assert (row.arms[OTHER], row.met) == ("> 5 s", False)
    assert isinstance(row.compared, _statistics.Spread)
    assert row.compared.median == 2.0


def test_where_bare_did_not_end_nothing_is_compared() -> None:
    """A goal is neither met nor missed then."""
    results = Results({OURS: [{"ms": 1.0}]}, {BARE: "> 5 s"})
    row = _report.compare("call", results, "ms", goal=1.0)
    assert (row.compared, row.met) == ("not comparable", None)


def test_a_table_and_its_json_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """TST-6: printed with spread and ratio, written as JSON."""
    monkeypatch.setattr(_report, "RESULTS", tmp_path / "results")
    results = Results({BARE: [{"ns": 100.0}], OURS: [{"ns": 101.0}]})
    _report.publish("calls", [_report.compare("send()", results, "ns", goal=1.02, unit="ns")])
    line = next(line for line in capsys.readouterr().out.splitlines() if "send()" in line)
    assert "× 1.010" in line
    assert "≤ 1.02" in line
    assert line.rstrip("| ").endswith("yes")
    written = json.loads((tmp_path / "results" / "calls.json").read_text())
    assert written["rows"][0]["compared"]["median"] == pytest.approx(1.01)
    assert written["rows"][0]["met"] is True


def test_events_are_the_same_every_time_and_of_the_promised_size() -> None:
    """Every arm sends the same bytes, JSON of about 285."""
    some = events(500)
    assert some == events(500)
    assert len({json.loads(one)["event_id"] for one in some}) == 500
    assert 280 <= sum(map(len, some)) / len(some) <= 290


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_plan_by_hand_is_what_a_program_would_write(library: str) -> None:
    """The bare arm never shrinks librdkafka's own batch, as the agent does not."""
    settings = wire.by_hand(library)
    assert ("batch.size" in settings) is False
    assert len(configured(library, wire.PLAN)) == 3
    assert set(throughput.RECORDS) == set(LIBRARIES)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """programs/records.py, which is no package's: the programs stand alone in their folder."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "programs"))
    return importlib.import_module("records")


@pytest.mark.parametrize(("kind", "size"), [("json", 286), ("avro", 65), ("log", 141), ("compressed", 800)])
def test_records_of_each_kind_are_the_same_every_time_and_of_the_promised_size(
    made: ModuleType, kind: str, size: int
) -> None:
    """AGT-32: four kinds of records; every run sends the same bytes, and no two records are alike."""
    some = made.records(kind, 800)
    assert some == made.records(kind, 800)
    assert len(set(some)) == 800
    assert sum(map(len, some)) / 800 == pytest.approx(size, rel=0.1)
    assert (*made.KINDS,) == _design.KINDS
    assert len(set(made.keys(800))) > 100


@pytest.mark.parametrize(("kind", "least", "most"), [("json", 0.1, 0.3), ("avro", 0.3, 0.8), ("log", 0.1, 0.4)])
def test_records_compress_as_real_ones_do(made: ModuleType, kind: str, least: float, most: float) -> None:
    """Text to a fraction, binary less, and what is compressed already hardly at all."""
    block = b"".join(made.records(kind, 500))
    assert least < len(zlib.compress(block, 6)) / len(block) < most
    noise = b"".join(made.records("compressed", 100))
    assert len(zlib.compress(noise, 6)) / len(noise) > 0.9


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, "00"), (-1, "01"), (1, "02"), (63, "7e"), (64, "8001"), (-65, "8101")]
)
def test_a_long_is_written_as_avro_does(made: ModuleType, number: int, encoded: str) -> None:
    """The examples of the Avro specification, and its first number of two bytes."""
    assert made.varint(number).hex() == encoded


def test_the_sweep_covers_what_was_asked_for() -> None:
    """AGT-32: every library, four kinds, three rates, awaited or not; codec, level, batch size and linger vary."""
    whole = _design.groups()
    combinations = {(group.library, group.kind, group.rate, group.awaited) for group in whole}
    assert len(combinations) == len(whole) == len(LIBRARIES) * 4 * 3 * 2
    for library in LIBRARIES:
        mine = {point for group in whole if group.library == library for point in group.points}
        assert {"none", "gzip", "lz4", "snappy", "zstd"} - {point.codec for point in mine} <= {"none"}
        assert {1, 3, 6, 9} <= {point.level for point in mine if point.codec == "gzip"}
        assert {16, 64, 256} <= {point.batch for point in mine}
        assert {0, 5, 20, 100} <= {point.linger for point in mine}


def test_the_sweep_ends_in_time() -> None:
    """A fraction of the product: by what its runs should take, below half an hour, quick below four minutes."""

    def seconds(quick: bool) -> float:
        found = 0.0
        for group in _design.groups(quick):
            each = group.rounds * (group.seconds + 0.3) * len(_design.sequence(group.points, 0))
            found += each / (len(LIBRARIES) if group.rate and not group.awaited else 1)
        return found

    assert seconds(quick=False) < 1800
    assert seconds(quick=True) < 240


@pytest.mark.parametrize("turn", [0, 1, 5])
def test_each_point_runs_between_two_runs_of_the_librarys_own(turn: int) -> None:
    """What slows the machine for a while slows a point and what it is compared with."""
    points = _design.points("aiokafka", "json", 2000, False)
    order = _design.sequence(points, turn)
    assert order[0] == order[-1] == _design.LIBRARYS_OWN
    assert sorted(map(repr, points)) == sorted(repr(point) for point in order if point != _design.LIBRARYS_OWN)
    for position, point in enumerate(order):
        before, after = _design.beside(order, position)
        assert order[before] == order[after] == _design.LIBRARYS_OWN
        assert after - before <= 5
        assert (before == after) is (point == _design.LIBRARYS_OWN)


def test_a_run_is_compared_with_its_neighbours() -> None:
    """Twice the CPU time of the mean of before and after is 2, whatever the machine did later."""
    order = [_design.LIBRARYS_OWN, _design.Point("zstd"), _design.LIBRARYS_OWN]
    said = [{"cpu": cpu, "rate": 10.0, "raw": 1.0, "requests": 0.1, "waited": None} for cpu in (1.0, 4.0, 3.0)]
    first, between, last = sweep.compared(order, said)
    assert (first["cpu_ratio"], between["cpu_ratio"], last["cpu_ratio"]) == (1.0, 2.0, 1.0)
    assert between["waited_ratio"] is None


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_point_is_written_as_the_library_takes_it(library: str) -> None:
    """gzip's level is a setting in librdkafka alone; the Python libraries are made to take it."""
    job = _design.Point("gzip", 3, 64, 20).job(library)
    assert len(job["settings"]) == (4 if library == "confluent-kafka" else 3)
    assert job.get("gzip_level") == (None if library == "confluent-kafka" else 3)
    assert _design.Point("gzip", 3, 64, 20).label == "gzip-3, 64 KiB, 20 ms"


RATIOS = ("cpu_ratio", "rate_ratio", "waited_ratio")


def _rows() -> list[dict[str, Any]]:
    """What a sweep of made-up figures would have found."""
    figures = {"raw": 0.3, "requests": 0.1, "cpu": 40.0, "rate": 9.0, "waited": 5.0, **dict.fromkeys(RATIOS, 1.0)}
    return [
        sweep.summary(group, point, [figures])
        for group in _design.groups()
        for point in (_design.LIBRARYS_OWN, *group.points)
    ]


def test_pictures_are_drawn_from_the_results(tmp_path: Path) -> None:
    """AGT-32: the docs show the curves; each picture is small, well-formed, for light and dark, with all libraries."""
    written = _pictures.draw(_rows(), tmp_path)
    assert [path.stem for path in written] == list(_pictures.PAINTED)
    for path in written:
        text = path.read_text()
        assert len(text) < 100_000
        assert "prefers-color-scheme: dark" in text
        shown = [node.text for node in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
        assert set(LIBRARIES) <= set(shown)
        assert len(list(ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}circle"))) >= 6


def test_nothing_measured_is_nothing_drawn(tmp_path: Path) -> None:
    """A quick sweep leaves groups out; an empty picture would only mislead."""
    assert _pictures.draw([], tmp_path) == []


@pytest.mark.parametrize(
    ("largest", "top", "step"), [(1.05, 1.2, 0.2), (0.29, 0.3, 0.05), (340.0, 400.0, 100.0), (6.0, 6.0, 1.0)]
)
def test_a_scale_ends_at_a_round_number(largest: float, top: float, step: float) -> None:
    """Three to six lines, at 1, 2 or 5 times a power of ten."""
    assert _svg._scale(largest) == (pytest.approx(top), pytest.approx(step))


def test_the_pictures_of_the_docs_are_all_shown() -> None:
    """docs/defaults.md shows every picture that a sweep draws, docs/benchmarks.md the one of lag; none is left over."""
    shown = {"defaults.md": set(_pictures.PAINTED), "benchmarks.md": {lag.PICTURE.stem}}
    drawn = {path.stem for path in (ROOT / "docs" / "pictures").glob("*.svg")}
    assert set.union(*shown.values()) == drawn
    for page, names in shown.items():
        text = (ROOT / "docs" / page).read_text()
        assert all(f"pictures/{name}.svg" in text for name in names)


def test_ours_is_compared_with_the_best_of_each_round() -> None:
    """Within 5 % of the best point: not of the one that was best on average."""
    found = Results(
        {"a": [{"bytes": 3.0}, {"bytes": 1.0}], "b": [{"bytes": 2.0}, {"bytes": 4.0}], OURS: [{"bytes": 2.0}] * 2}
    )
    best = chosen.least(found, ["a", "b"], "bytes")
    assert best.of(BARE, "bytes") == [2.0, 1.0]
    assert best.of(OURS, "bytes") == [2.0, 2.0]
    assert all(chosen.candidates(library) for library in LIBRARIES)


def test_consumers_do_together_what_the_program_is_a_part_of() -> None:
    """LAG-9: two of twelve are five times slower, and the program sends 60 % of what all can do; or all are alike."""
    for slow in (2, 0):
        rates = lag.rates(slow)
        assert 0.6 * sum(rates) == pytest.approx(lag.RATE)
        assert rates[:slow] == [pytest.approx(rates[-1] / 5)] * slow
        assert rates[slow:] == [rates[-1]] * (12 - slow)


def test_a_consumer_does_one_record_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """LAG-9: each begins when it is there and the one before is done; what is done by now is what is committed."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "programs"))
    consume = importlib.import_module("consume")
    worker = consume.Worker(10.0, 0.5)
    assert [worker.take(now) for now in (100.0, 100.0, 105.0)] == pytest.approx([100.1, 100.2, 105.1])
    assert worker.done(100.15)
    assert worker.position == 1
    assert not worker.done(100.15)
    assert worker.done(106.0)
    assert (worker.position, len(worker.pending)) == (3, 0)
    found = consume.figures([(50.0, 50.1), (100.0, 100.1), (100.0, 100.3), (101.0, 105.0)])
    assert found == {"records": 4, "median": pytest.approx(300), "p99": pytest.approx(4000), "makespan": 5.0}


def test_lag_over_time_is_the_median_of_the_runs() -> None:
    """LAG-9: by whole seconds, where every run has a sample within one; drawn with a line for each arm."""
    runs = [{"samples": [(0.0, 0), (1.1, peak), (2.0, 5)]} for peak in (10, 20, 30)]
    runs.append({"samples": [(0.0, 0), (1.0, 40), (4.0, 7)]})
    lines = lag.over_time(Results({"default": runs}))
    assert lines == {"default": [0, 25, 5, 5, None]}
    text = lag.picture({"aiokafka": lines, "kafka-python": {"default": [1.0], "sticky": [2.0, 3.0]}})
    shown = [node.text for node in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert {"aiokafka", "kafka-python", "default", "sticky", "seconds"} <= set(shown)


def test_a_column_for_each_arm_of_its_own() -> None:
    """LAG-9: a benchmark with other arms compares and shows these."""
    results = Results({"sticky": [{"ms": 2.0}], "lag-aware": [{"ms": 1.0}]}, {"peer": "fails"})
    row = _report.compare("wait", results, "ms", 0.6, "ms", ours="lag-aware", bare="sticky")
    assert row.met is True
    heading, _, line = _report.table([row], ["sticky", "lag-aware", "peer"]).splitlines()
    assert [cell.strip() for cell in heading.split("|")[1:5]] == ["figure", "sticky", "lag-aware", "peer"]
    assert [cell.strip() for cell in line.split("|")[1:6]] == ["wait", "2 ms (2–2)", "1 ms (1–1)", "fails", "× 0.500"]


def test_the_choice_of_a_partition_is_timed() -> None:
    """LAG-7: it runs; what it costs is for people to read."""
    assert lag.choice(records=2000) > 0


def test_what_smart_producer_may_cost_is_in_its_table() -> None:
    """KSP-30, KSP-31: at most 1.8 × a bare call and 2 µs more, at least 0.9 of the acknowledged records."""
    one = {"relative": 2.0, "piece": 1000.0, "rate": 100_000.0, "bytes": 50.0, "moved": 0}
    found = Results({BARE: [dict(one)], OURS: [{**one, "relative": 3.7, "rate": 89_000.0}]}, {})
    call, added, rate, _ = smart._rows("healthy, without keys", found)
    assert (call.goal, call.met) == (1.8, False)
    assert (added.goal, added.met) == (2000.0, True)
    assert (rate.goal, rate.met) == (0.9, False)
