"""AGT-28: a positional argument is refused in the library's own words."""
# agent: line

import sys

from kafka import KafkaProducer

KafkaProducer(sys.argv[1])
