"""aiokafka: `AIOKafkaProducer` patched in place, so that every name for the class, and every subclass, is covered."""

from superclient.agent.adapters.aiokafka.patch import patch

__all__ = ["patch"]
