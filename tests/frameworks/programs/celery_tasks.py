"""A Celery application whose broker is Kafka sends a hundred tasks."""

import sys

from celery import Celery

servers, topic = sys.argv[1:3]
app = Celery("shop", broker=f"confluentkafka://{servers}")
app.conf.broker_transport_options = {"kafka_common_config": {"client.id": "celery_tasks"}}
app.conf.task_default_queue = topic


@app.task
def order(number: int, text: str) -> None:
    raise NotImplementedError


for number in range(100):
    sent = order.apply_async((number, "order " * 50), task_id=f"order-{number}", headers={"number": number})
    assert sent.id == f"order-{number}"
print("ready", flush=True)
sys.stdin.readline()
