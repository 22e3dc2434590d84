"""One small unchanged program per library, with the same face: it sends N events, says so, and ends when it is told to.

argv: bootstrap servers, topic, number of records. Environment: CONF, a JSON object of the library's own settings. The
program prints "sent" once everything is acknowledged, then waits for a line on stdin (a polling program polls
meanwhile), closes its producer the way programs of that library do, and prints "closed". With STAY it ends at one more
line only.
"""

from __future__ import annotations

COMMON = """
import json, os, random, select, sys
where, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
conf = json.loads(os.environ.get("CONF", "{}"))
seeded = random.Random(7)
def event(i):
    return json.dumps({"id": i, "customer": f"customer-{int(seeded.paretovariate(1.2)) % 1000}", "state": "open",
        "page": seeded.choice(["/home", "/cart", "/pay"]), "agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "pad": "x" * 100}).encode()
def stay():
    if os.environ.get("STAY"):
        sys.stdin.readline()
def told():
    return bool(select.select([sys.stdin], [], [], 0)[0]) and sys.stdin.readline() is not None
"""

KAFKA_PYTHON = (
    COMMON
    + """
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=where, **conf)
for i in range(count):
    producer.send(topic, event(i))
producer.flush()
print("sent", flush=True)
sys.stdin.readline()
producer.close()
print("closed", flush=True)
stay()
"""
)

AIOKAFKA = (
    COMMON
    + """
import asyncio, ssl
from aiokafka import AIOKafkaProducer
if "cafile" in conf:
    conf["ssl_context"] = ssl.create_default_context(cafile=conf.pop("cafile"))
async def main():
    producer = AIOKafkaProducer(bootstrap_servers=where, **conf)
    await producer.start()
    for i in range(count):
        await producer.send(topic, event(i))
    await producer.flush()
    print("sent", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await producer.stop()
    print("closed", flush=True)
    stay()
asyncio.run(main())
"""
)

CONFLUENT = (
    COMMON
    + """
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": where, **conf})
for i in range(count):
    producer.produce(topic, event(i))
    producer.poll(0)
producer.flush()
print("sent", flush=True)
while not told():
    producer.poll(0.05)
producer.flush()
del producer
print("closed", flush=True)
stay()
"""
)

SOURCES = {"kafka-python": KAFKA_PYTHON, "aiokafka": AIOKAFKA, "confluent-kafka": CONFLUENT}
DISTRIBUTION = {"kafka-python": "kafka-python", "aiokafka": "aiokafka", "confluent-kafka": "confluent-kafka"}
CODEC_OPTION = {
    "kafka-python": "compression_type",
    "aiokafka": "compression_type",
    "confluent-kafka": "compression.type",
}
CLIENT_ID_OPTION = {"kafka-python": "client_id", "aiokafka": "client_id", "confluent-kafka": "client.id"}
# A program whose library hands figures out by the clock asks for them more often than twice a minute.
QUICK_FIGURES = {"kafka-python": {}, "aiokafka": {}, "confluent-kafka": {"statistics.interval.ms": 100}}
