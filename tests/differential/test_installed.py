"""Unchanged programs in environments of their own, without and with the project's wheel installed."""

from __future__ import annotations

import re

import pytest

from tests.differential.conftest import Compare
from tests.differential.program import Program, programs
from tests.differential.runner import Arm, Pair, arms
from tests.environments import environment

# Trace identifiers are made by chance.
TRACE = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-\d\d")


def installed(program: Program) -> tuple[Arm, Arm]:
    bare = environment(packages=program.packages, superclient=False)
    return arms(environment(packages=program.packages), bare)


def same(pair: Pair) -> None:
    found = pair.differences()
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("order", ["early", "late"])
@pytest.mark.parametrize("program", programs("instrumented"), ids=lambda program: program.path.stem)
def test_instrumented(program: Program, order: str, differ: Compare) -> None:
    """TST-5, AGT-27: OpenTelemetry, loaded before the library or after it, sees what it sees without the agent."""
    same(differ(program, both=installed(program), args=[order], chance=TRACE))


@pytest.mark.parametrize("program", programs("codecs"), ids=lambda program: program.path.stem)
def test_codec_missing(program: Program, differ: Compare) -> None:
    """TST-5, AGT-28: a recommended codec whose library is missing loses no record."""
    pair = differ(program, both=installed(program))

    same(pair)
    assert len(pair.agent.records) == 500


@pytest.mark.parametrize("library", ["kafka_python", "aiokafka", "confluent"])
def test_wheel(library: str, differ: Compare) -> None:
    """TST-5, AGT-1: what holds for a checkout holds for the wheel, against an environment that never had it."""
    package = {"kafka_python": "kafka-python", "confluent": "confluent-kafka"}.get(library, library)
    codecs = {"kafka_python": ["zstandard"], "aiokafka": ["cramjam"]}.get(library, [])
    both = arms(environment(packages=[package, *codecs]), environment(packages=[package, *codecs], superclient=False))
    (keyed,) = (each for each in programs(library) if each.path.stem == "keyed")

    same(differ(keyed, both=both))
