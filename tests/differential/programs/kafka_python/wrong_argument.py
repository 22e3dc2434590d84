"""AGT-28: an argument that does not exist fails once, with the library's own exception."""
# agent: line

import sys

from kafka import KafkaProducer

try:
    KafkaProducer(bootstrap_servers=sys.argv[1], compresion_type="gzip")
except Exception as error:
    print(type(error), error.args, error.__cause__, error.__context__)
KafkaProducer(bootstrap_servers=sys.argv[1], no_such="thing")
