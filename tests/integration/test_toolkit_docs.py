"""Every Python snippet of docs/toolkit.md is run as a reader would run it, on a real broker."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from superclient.toolkit import ProducerConfig, resolve_env_config
from tests.environments import run_program
from tests.servers import Broker

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "toolkit.md").read_text()
ALL = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SAYS = {
    "produce": "delivered 0",
    "asyncio": "1000",
    "transaction": "commit",
    "consume": "giving up [('orders', 0)]",
    "async stream": "100",
    "admin": "True",
    "relay": "150",
    "metrics": "0 {}",
}


@pytest.mark.parametrize(("name", "snippet"), list(zip(SAYS, ALL, strict=True)), ids=list(SAYS))
def test_a_snippet_does_what_it_says(name: str, snippet: str, kafka: Broker) -> None:
    """KLI-1, KLI-2, KLI-4, KLI-5, KLI-9, KLI-11, KLI-17: each public class as its documentation shows it."""
    for topic, records in (("orders", 0 if name == "produce" else 150), ("orders-upper", 0)):
        kafka.create_topic(topic)
        kafka.produce(topic, [b"an order"] * records)
    try:
        env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
        ran = run_program(Path(sys.executable), snippet.replace("localhost:9092", kafka.bootstrap), env=env)
        assert ran.returncode == 0, ran.stderr
        assert SAYS[name] in ran.stdout
        if name == "relay":
            assert {record.value for record in kafka.records("orders-upper")} == {b"AN ORDER"}
    finally:
        kafka.delete_topics("orders", "orders-upper")


def test_the_configuration_file_reads_as_said(tmp_path: Path) -> None:
    """KLI-18, KLI-22, KLI-23: the example's environment, overlaid as the page tells."""
    file = tmp_path / "config.json"
    file.write_text(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    assert resolve_env_config(path=file) == {"bootstrap_servers": "localhost:9092"}
    config = ProducerConfig.from_env_config("prod", str(file))
    assert config.bootstrap_servers == "kafka-1:9093"
    assert config.compression_type == "zstd"
    assert config.additional_config == {"security.protocol": "SASL_SSL"}
    assert json.loads(file.read_text())["prod"]["consumer"] == {"group.id": "billing"}
