"""The toolkit beside the agent: its producers are tuned like anybody's, and do what they do without it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.environments import run_program
from tests.servers import Broker

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, sys
from superclient.toolkit import KafkaProducer, ProducerConfig

bootstrap, topic = sys.argv[1:]

async def many():
    async with KafkaProducer(ProducerConfig(bootstrap)) as producer:
        return await asyncio.gather(*(producer.aproduce(topic, str(number)) for number in range(200)))

with KafkaProducer(ProducerConfig(bootstrap, transactional_id=topic)) as producer:
    for _ in range(3):
        with producer.transaction():
            for number in range(100):
                producer.produce(topic, str(number), flush=False)
with KafkaProducer(ProducerConfig(bootstrap, compression_type="lz4")) as producer:
    print(producer.produce(topic, "one" * 1000).delivered)
print(sum(result.delivered for result in asyncio.run(many())))
"""


def test_the_agent_tunes_what_the_toolkit_leaves_open(cluster: Broker, topic: str) -> None:
    """KLI-1, KLI-2, KLI-11: with a recommendation in force; a field that is None is the agent's to choose."""
    cluster.create_system_topics()
    advice = {"compression.type": "zstd", "batch.size": 262144, "linger.ms": 20}
    cluster.publish_metadata(
        {"topics_configuration": [{"topic_name": topic, "optimized_configuration": advice, "daily_writes_bytes": 1}]}
    )
    said = {}
    for disabled in ("true", "false"):
        env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": disabled, "SUPERSTREAM_TOPICS_LIST": topic}
        ran = run_program(Path(sys.executable), PROGRAM, cluster.bootstrap, topic, env=env)
        assert (ran.returncode, ran.stdout) == (0, "True\n200\n"), ran.stderr
        said[disabled] = ran.stderr
    assert "compression.type none -> zstd" not in said["true"]
    assert "compression.type none -> zstd" in said["false"]
    assert cluster.log_bytes(topic).codecs >= {"none", "lz4", "zstd"}
    assert cluster.log_bytes(topic).records >= 2 * (300 + 1 + 200)
