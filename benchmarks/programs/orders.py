"""The records of the messaging benchmarks: an order as JSON, and the dataclass that both arms make of it."""

import json
from dataclasses import dataclass


@dataclass
class Order:
    """What a record's value says."""

    number: int
    customer: str
    amount: float
    paid: bool


def document(number: int) -> bytes:
    """Some 90 bytes."""
    customer = f"customer-{number % 5000:05d}"
    return json.dumps(
        {"number": number, "customer": customer, "amount": number % 1000 / 4, "paid": number % 3 == 0}
    ).encode()


def parse(record) -> Order:
    """Of an aiokafka.ConsumerRecord."""
    return Order(**json.loads(record.value))
