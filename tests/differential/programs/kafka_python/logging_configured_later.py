"""AGT-50: a program that configures its logging after the import; what it logs itself is as without the agent."""
# ours: LOG superclient

import logging
import logging.config
import sys

from kafka import KafkaProducer

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"short": {"format": "LOG %(name)s %(levelname)s %(message)s"}},
        "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "short"}},
        "root": {"handlers": ["err"], "level": "WARNING"},
        "loggers": {"superclient": {"level": "INFO"}},  # else the agent keeps to the level of the root
    }
)
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
logging.getLogger("app").warning("done")
print(logging.getLogger().handlers[0].stream is sys.stderr, len(logging.getLogger().handlers))
