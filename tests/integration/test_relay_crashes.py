"""KLI-49: the real command is killed again and again; every record of the source is in the target once, in order."""

import dataclasses
import random
import time
from pathlib import Path

import pytest

from tests.integration.relayed import RelayProcess, differences, fill, load, pair, relays, seeded
from tests.servers import Broker, Record, wait_for

KILLS, PARTITIONS = 50, 6
IN_FLIGHT = ("--max-in-flight", "4")


@pytest.mark.timeout(600)
def test_a_relay_that_is_killed_fifty_times_loses_and_repeats_nothing(kafka: Broker, tmp_path: Path) -> None:
    """KLI-17, 47, 48, 49: SIGKILL at any moment, of a start as well, under load, with four transactions in flight."""
    source, target = pair(kafka, "crash", PARTITIONS)
    moments = seeded("crash")
    fill(kafka.bootstrap, source, PARTITIONS, range(12_000))
    relay = RelayProcess(tmp_path, kafka.bootstrap, source, target, *names("crash", source), *IN_FLIGHT)
    with relays(relay), load(kafka.bootstrap, source, PARTITIONS, 12_000):
        for number in range(KILLS):
            relay.start()
            if number % 5:
                relay.wait_for_commits(moments.randint(1, 12))
                time.sleep(moments.uniform(0, 0.05))
            else:
                time.sleep(moments.uniform(0, 1.0))
            relay.kill()
    with relays(relay):
        assert relay.run("--stop-on-empty", "--batch-size", "500") == 0, relay.errors
    assert differences(kafka.records(source), kafka.records(target)) == []
    assert "Traceback" not in relay.errors


@pytest.mark.soak
def test_a_relay_without_a_name_in_its_group_is_killed(kafka: Broker, tmp_path: Path) -> None:
    """KLI-49: the same with dynamic membership: the group waits until the dead member's session is over."""
    source, target = pair(kafka, "nameless", 3)
    moments = seeded("nameless")
    fill(kafka.bootstrap, source, 3, range(3000))
    dynamic = ("-X", "group.instance.id=", "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500")
    relay = RelayProcess(tmp_path, kafka.bootstrap, source, target, *names("nameless", source), *IN_FLIGHT, *dynamic)
    with relays(relay):
        for _ in range(5):
            relay.start()
            relay.wait_for_commits(moments.randint(1, 12))
            relay.kill()
        assert relay.run("--stop-on-empty") == 0, relay.errors
    assert differences(kafka.records(source), kafka.records(target)) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("strategy", ["range", pytest.param("cooperative-sticky", marks=pytest.mark.soak)])
def test_three_relays_of_which_one_comes_and_goes(kafka: Broker, tmp_path: Path, strategy: str) -> None:
    """KLI-49, 51: partitions move between relays over and over, by farewell and by SIGKILL; none is relayed twice."""
    source, target = pair(kafka, "three", PARTITIONS)
    moments = seeded(f"three-{strategy}")
    fill(kafka.bootstrap, source, PARTITIONS, range(6000))
    options = ["--group", f"group-{source}", "--max-in-flight", "2", "-X", "group.instance.id="]
    options += ["-X", f"partition.assignment.strategy={strategy}"]
    options += ["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500"]
    three = [
        RelayProcess(
            tmp_path / one, kafka.bootstrap, source, target, *options, "--transactional-id", f"three-{one}-{source}"
        )
        for one in "abc"
    ]
    with relays(*three):
        with load(kafka.bootstrap, source, PARTITIONS, 6000):
            for one in three[:2]:
                one.start()
            come_and_go(three[2], moments)
        wait_for(lambda: complete(kafka, source, target), "everything is relayed", 90)
        assert [one.stop() for one in three[:2]] == [0, 0], [one.errors for one in three]
    assert differences(kafka.records(source), kafka.records(target)) == []


def come_and_go(relay: RelayProcess, moments: random.Random) -> None:
    for number in range(4):
        relay.start()
        relay.wait_for_commits(moments.randint(1, 5))
        if number == 2:
            relay.kill()
        else:
            assert relay.stop() == 0, relay.errors


def complete(kafka: Broker, source: str, target: str) -> bool:
    return len(kafka.records(target)) >= len(kafka.records(source))


def names(what: str, source: str) -> tuple[str, ...]:
    return ("--group", f"{what}-{source}", "--transactional-id", f"{what}-{source}")


@pytest.mark.parametrize(
    ("doctored", "said"),
    [
        (lambda found: found[:-1], "1 missing, 0 too many"),
        (lambda found: [*found, dataclasses.replace(found[0], offset=99)], "0 missing, 1 too many"),
        (lambda found: [dataclasses.replace(one, offset=-one.offset) for one in found], "0 missing, 0 too many"),
        (lambda found: [dataclasses.replace(found[0], key=b"other"), *found[1:]], "1 missing, 1 too many"),
        (lambda found: [dataclasses.replace(found[0], timestamp=1.0), *found[1:]], "1 missing, 1 too many"),
        (lambda found: [dataclasses.replace(found[0], headers=()), *found[1:]], "1 missing, 1 too many"),
        (lambda found: [dataclasses.replace(found[0], value=None), *found[1:]], "1 missing, 1 too many"),
        (lambda found: [dataclasses.replace(found[0], partition=1), *found[1:]], "1 missing, 0 too many"),
    ],
)
def test_the_comparison_can_fail(doctored, said: str) -> None:
    """A record that is missing, twice, elsewhere, out of order or changed is seen."""
    source = [Record("t", 0, at, b"k", b"%d" % at, (("h", b""),), 5.0) for at in range(5)]
    assert differences(source, list(source)) == []
    assert said in "; ".join(differences(source, doctored(source)))
