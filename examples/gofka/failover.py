"""Sends numbers for as long as it is told, whichever of its brokers is up; then asks them one by one.

python examples/gofka/failover.py orders --brokers localhost:9092,localhost:9093 --count 100

The producer finds the broker that leads by itself. BrokerFailoverManager does the same for requests of your own.
"""

import argparse
import asyncio
import logging

from superclient.gofka import AsyncAdminClient, AsyncProducer, BrokerFailoverManager, ProduceError, RetryPolicy


async def main(chosen: argparse.Namespace) -> None:
    policy = RetryPolicy(max_retries=8, initial_backoff_ms=100, max_backoff_ms=2000)
    async with AsyncProducer(chosen.brokers, retry_policy=policy, max_in_flight=1) as producer:
        for number in range(chosen.count):
            try:
                print(f"{number}: offset {await producer.send_string(chosen.topic, str(number))}", flush=True)
            except ProduceError as error:
                known = {True: "it is stored", False: "it is not stored", None: "it may be stored"}
                print(f"{number}: {known[error.stored]}: {error}", flush=True)
            await asyncio.sleep(chosen.pause)

    async def topics(host: str, port: int) -> list[str]:
        async with AsyncAdminClient(f"{host}:{port}", retry_policy=RetryPolicy(max_retries=0)) as admin:
            return await admin.list_topics()

    manager = BrokerFailoverManager(chosen.brokers, policy)
    print(f"topics: {', '.join(await manager.execute_with_failover(topics))}")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two records")
    parser.add_argument("--brokers", default="localhost:9092", help="several with commas")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(main(options()))
