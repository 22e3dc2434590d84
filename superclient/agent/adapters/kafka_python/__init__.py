"""kafka-python: `KafkaProducer` patched in place, so that every name for the class, and every subclass, is covered."""

from superclient.agent.adapters.kafka_python.patch import patch

__all__ = ["patch"]
