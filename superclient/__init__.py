"""Makes an unchanged Python program that produces to Apache Kafka cheaper and better balanced.

Importing any part of the package activates the agent, unless SUPERSTREAM_DISABLED is set. Once it is installed, the
interpreter does so itself at its start; nothing else of the package is imported before it is used.
"""

from superclient import _boot

__version__ = "0.1.0"

# Public names and the modules that define them, imported on first use (PEP 562): the start of every Python stays cheap.
_PUBLIC = {
    "ClusterStatus": "superclient.agent.answers",
    "Explanation": "superclient.agent.answers",
    "LibraryStatus": "superclient.agent.answers",
    "Setting": "superclient.agent.answers",
    "Status": "superclient.agent.answers",
    "FeatureOff": "superclient.agent.features",
    "deactivate": "superclient.agent.control",
    "explain": "superclient.agent.control",
    "status": "superclient.agent.control",
    "CacheConfig": "superclient.smart.config",
    "HealthManagerConfig": "superclient.smart.config",
    "HealthMode": "superclient.smart.config",
    "SmartProducerConfig": "superclient.smart.config",
    "SmartProducer": "superclient.smart.producer",
    "AsyncSmartProducer": "superclient.smart.async_producer",
    "PartitionHealthMonitor": "superclient.smart.monitor",
    "AsyncPartitionHealthMonitor": "superclient.smart.async_monitor",
    "KafkaAdminLagCollector": "superclient.smart.collectors",
    "LagDataCollector": "superclient.smart.collectors",
    "CacheFactory": "superclient.smart.cache.factory",
    "DefaultHybridCache": "superclient.smart.cache.hybrid",
    "DefaultLocalCache": "superclient.smart.cache.memory",
    "DefaultRemoteCache": "superclient.smart.cache.redis",
    "CacheError": "superclient.errors",
    "CacheTimeoutError": "superclient.errors",
    "CacheUnavailableError": "superclient.errors",
    "ConfigurationError": "superclient.errors",
    "HealthCalculationError": "superclient.errors",
    "HealthManagerError": "superclient.errors",
    "LagDataUnavailableError": "superclient.errors",
    "PartitionSelectionError": "superclient.errors",
    "SmartProducerError": "superclient.errors",
}

TYPE_CHECKING = False  # typing's own flag would cost the import of typing
if TYPE_CHECKING:
    from superclient.agent.answers import ClusterStatus as ClusterStatus
    from superclient.agent.answers import Explanation as Explanation
    from superclient.agent.answers import LibraryStatus as LibraryStatus
    from superclient.agent.answers import Setting as Setting
    from superclient.agent.answers import Status as Status
    from superclient.agent.control import deactivate as deactivate
    from superclient.agent.control import explain as explain
    from superclient.agent.control import status as status
    from superclient.agent.features import FeatureOff as FeatureOff
    from superclient.errors import CacheError as CacheError
    from superclient.errors import CacheTimeoutError as CacheTimeoutError
    from superclient.errors import CacheUnavailableError as CacheUnavailableError
    from superclient.errors import ConfigurationError as ConfigurationError
    from superclient.errors import HealthCalculationError as HealthCalculationError
    from superclient.errors import HealthManagerError as HealthManagerError
    from superclient.errors import LagDataUnavailableError as LagDataUnavailableError
    from superclient.errors import PartitionSelectionError as PartitionSelectionError
    from superclient.errors import SmartProducerError as SmartProducerError
    from superclient.smart.async_monitor import AsyncPartitionHealthMonitor as AsyncPartitionHealthMonitor
    from superclient.smart.async_producer import AsyncSmartProducer as AsyncSmartProducer
    from superclient.smart.cache.factory import CacheFactory as CacheFactory
    from superclient.smart.cache.hybrid import DefaultHybridCache as DefaultHybridCache
    from superclient.smart.cache.memory import DefaultLocalCache as DefaultLocalCache
    from superclient.smart.cache.redis import DefaultRemoteCache as DefaultRemoteCache
    from superclient.smart.collectors import KafkaAdminLagCollector as KafkaAdminLagCollector
    from superclient.smart.collectors import LagDataCollector as LagDataCollector
    from superclient.smart.config import CacheConfig as CacheConfig
    from superclient.smart.config import HealthManagerConfig as HealthManagerConfig
    from superclient.smart.config import HealthMode as HealthMode
    from superclient.smart.config import SmartProducerConfig as SmartProducerConfig
    from superclient.smart.monitor import PartitionHealthMonitor as PartitionHealthMonitor
    from superclient.smart.producer import SmartProducer as SmartProducer

_boot.activate()


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(__import__(_PUBLIC[name], fromlist=(name,)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
