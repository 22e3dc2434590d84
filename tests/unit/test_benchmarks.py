"""The benchmarks start, and count right; what they measure is for people to read, nothing here is timed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.all as everything
from benchmarks import _report, _statistics, throughput, wire
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
