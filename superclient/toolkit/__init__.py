"""The explicit API: producer, consumer, admin, transactions and an exactly-once relay over confluent-kafka.

    config.py       ProducerConfig, ConsumerConfig, AdminConfig: frozen, checked when they are made
    files.py        the configuration file and its environments
    results.py      what calls answer: ProduceResult, TransactionResult, MessageResult, RelayResult
    producer.py     KafkaProducer; producing.py: its faces for records, over sending.py, records.py and deliveries.py;
                    retry.py tries again, transaction.py and transacting.py have its transactions
    consumer.py     KafkaConsumer: records handed out one by one, in lists, as a stream; fetching.py is its core, with
                    rebalance.py, seeking.py and positions.py; handout.py knows what the program is done with
    admin.py        KafkaAdmin: topics and the cluster, as the plain values of describing.py
    relay.py        ExactlyOnceRelay: from one topic to another, once
    serving.py      the one thread of a client by which the asyncio face waits
    codes.py        which error means what; texts.py which texts the library would crash over
    events.py       JSON log events; metrics.py counts

A class has a sync and an async face (`produce`, `aproduce`) over one core. The command line over all of it is
`superclient.cli`; producing that goes by consumers' lag is `superclient.smart`.
"""

import sys
from importlib.util import find_spec

from superclient._lazy import lazily

# Asked for here, once for every module of the package: else the first of them would fail in the middle of an import.
if "confluent_kafka" not in sys.modules and find_spec("confluent_kafka") is None:
    raise ImportError(
        "superclient.toolkit needs confluent-kafka: pip install 'superclient[toolkit]'", name="confluent_kafka"
    )

# Public names and the modules that define them, imported on first use (PEP 562): a command that only reads the
# configuration does not wait for librdkafka.
_PUBLIC = {
    "ProducerConfig": "superclient.toolkit.config",
    "ConsumerConfig": "superclient.toolkit.config",
    "AdminConfig": "superclient.toolkit.config",
    "resolve_env_config": "superclient.toolkit.files",
    "KafkaProducer": "superclient.toolkit.producer",
    "KafkaConsumer": "superclient.toolkit.consumer",
    "KafkaAdmin": "superclient.toolkit.admin",
    "ExactlyOnceRelay": "superclient.toolkit.relay",
    "MessageResult": "superclient.toolkit.results",
    "ProduceResult": "superclient.toolkit.results",
    "RelayResult": "superclient.toolkit.results",
    "TransactionResult": "superclient.toolkit.results",
    "ConfigFileError": "superclient.errors",
    "KafkaAdminError": "superclient.errors",
    "KafkaConsumerError": "superclient.errors",
    "KafkaConsumerFatalError": "superclient.errors",
    "KafkaConsumerRebalanceError": "superclient.errors",
    "KafkaConsumerRetriableError": "superclient.errors",
    "KafkaProducerError": "superclient.errors",
    "KafkaProducerFatalError": "superclient.errors",
    "KafkaProducerFencedError": "superclient.errors",
    "KafkaProducerRetriableError": "superclient.errors",
    "KafkaTransactionError": "superclient.errors",
    "RelayError": "superclient.errors",
    "ToolkitError": "superclient.errors",
}

TYPE_CHECKING = False  # typing's own flag would cost the import of typing
if TYPE_CHECKING:
    from superclient.errors import ConfigFileError as ConfigFileError
    from superclient.errors import KafkaAdminError as KafkaAdminError
    from superclient.errors import KafkaConsumerError as KafkaConsumerError
    from superclient.errors import KafkaConsumerFatalError as KafkaConsumerFatalError
    from superclient.errors import KafkaConsumerRebalanceError as KafkaConsumerRebalanceError
    from superclient.errors import KafkaConsumerRetriableError as KafkaConsumerRetriableError
    from superclient.errors import KafkaProducerError as KafkaProducerError
    from superclient.errors import KafkaProducerFatalError as KafkaProducerFatalError
    from superclient.errors import KafkaProducerFencedError as KafkaProducerFencedError
    from superclient.errors import KafkaProducerRetriableError as KafkaProducerRetriableError
    from superclient.errors import KafkaTransactionError as KafkaTransactionError
    from superclient.errors import RelayError as RelayError
    from superclient.errors import ToolkitError as ToolkitError
    from superclient.toolkit.admin import KafkaAdmin as KafkaAdmin
    from superclient.toolkit.config import AdminConfig as AdminConfig
    from superclient.toolkit.config import ConsumerConfig as ConsumerConfig
    from superclient.toolkit.config import ProducerConfig as ProducerConfig
    from superclient.toolkit.consumer import KafkaConsumer as KafkaConsumer
    from superclient.toolkit.files import resolve_env_config as resolve_env_config
    from superclient.toolkit.producer import KafkaProducer as KafkaProducer
    from superclient.toolkit.relay import ExactlyOnceRelay as ExactlyOnceRelay
    from superclient.toolkit.results import MessageResult as MessageResult
    from superclient.toolkit.results import ProduceResult as ProduceResult
    from superclient.toolkit.results import RelayResult as RelayResult
    from superclient.toolkit.results import TransactionResult as TransactionResult

__all__ = [*_PUBLIC]  # noqa: PLE0604  # for `import *`, which would else find nothing
__getattr__, __dir__ = lazily(globals(), _PUBLIC)
