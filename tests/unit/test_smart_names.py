"""The public names of lag-aware producing: at the package root, typed, and clear about what they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import superclient
from tests.environments import environment, run_program

ROOT = Path(__file__).resolve().parents[2]
ERRORS = {
    "CacheError",
    "CacheTimeoutError",
    "CacheUnavailableError",
    "ConfigurationError",
    "HealthCalculationError",
    "HealthManagerError",
    "LagDataUnavailableError",
    "PartitionSelectionError",
    "SmartProducerError",
}
NAMES = {
    "AsyncPartitionHealthMonitor",
    "AsyncSmartProducer",
    "CacheConfig",
    "CacheFactory",
    "DefaultHybridCache",
    "DefaultLocalCache",
    "DefaultRemoteCache",
    "HealthManagerConfig",
    "HealthMode",
    "KafkaAdminLagCollector",
    "LagDataCollector",
    "PartitionHealthMonitor",
    "SmartProducer",
    "SmartProducerConfig",
}


@pytest.mark.parametrize("name", sorted(NAMES | ERRORS))
def test_each_name_imports_from_the_root(name: str) -> None:
    """KSP-14: all of the specification, each a class of its own name, told by dir()."""
    value = getattr(superclient, name)
    assert isinstance(value, type)
    assert value.__name__ == name
    assert name in dir(superclient)


def test_the_public_names_are_typed() -> None:
    """KSP-14: as a user's type checker sees them."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "tests/typing/smart.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert done.stdout == "", done.stdout + done.stderr


WITHOUT = """
    import sys
    import superclient

    for name in sys.argv[1:]:
        try:
            getattr(superclient, name)
        except ImportError as missing:
            print(name, missing.name, missing, sep=": ")
        else:
            print(name)
    """


def test_without_the_extra() -> None:
    """KSP-33, KSP-14: without confluent-kafka each name says what to install, and an `except` still finds its error."""
    names = sorted(NAMES | ERRORS)
    done = run_program(environment(), WITHOUT, *names)
    said = "superclient.smart needs confluent-kafka: pip install 'superclient[smart]'"
    expected = [name if name in ERRORS else f"{name}: confluent_kafka: {said}" for name in names]
    assert done.stdout.splitlines() == expected
    assert done.stderr == ""


WITH = """
    import sys
    import superclient
    from superclient import CacheFactory, SmartProducerConfig

    config = SmartProducerConfig.from_dict({"bootstrap.servers": "a:1", "topics": ["t"], "consumer_group": "g"})
    print(CacheFactory.create(config.cache).get("k"), *[getattr(superclient, name).__name__ for name in sys.argv[1:]])
    """


def test_with_the_extra_alone() -> None:
    """KSP-33: `superclient[smart]` is all that they need; Redis is another extra."""
    names = sorted(NAMES)
    env = {"SUPERSTREAM_DISABLED": "true"}
    done = run_program(environment(extras=("smart",)), WITH, *names, env=env, options=["-W", "error"])
    assert (done.stdout.split(), done.stderr) == (["None", *names], "")
