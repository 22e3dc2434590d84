"""Lag-aware producing for those who write code: SmartProducer, its monitors, collectors, configuration and caches.

    config.py      HealthManagerConfig, CacheConfig, SmartProducerConfig: frozen, checked when they are made
    producer.py    SmartProducer; async_producer.py has AsyncSmartProducer
    monitor.py     PartitionHealthMonitor, a thread; async_monitor.py has AsyncPartitionHealthMonitor, a task
    collectors.py  LagDataCollector and the one that asks Kafka
    cache/         memory, Redis, and memory in front of Redis

The names for users are at the package root (`superclient.SmartProducer`). How lags become shares is not here but in
`superclient.partitioning`; the agent, which needs none of this, is in `superclient.agent`.
"""

import sys
from importlib.util import find_spec

# Asked for here, once for every module of the package: else the first of them would fail in the middle of an import,
# with the name of a library that its reader may not have heard of.
if "confluent_kafka" not in sys.modules and find_spec("confluent_kafka") is None:
    raise ImportError(
        "superclient.smart needs confluent-kafka: pip install 'superclient[smart]'", name="confluent_kafka"
    )
