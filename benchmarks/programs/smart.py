"""Sends records at a rate through a `SmartProducer`, the product's or its peer's, which look alike to a program.

Argument: as for send.py, and {module, group, interval (seconds)}. Prints the same JSON line.
"""

import importlib
import json
import sys
from functools import partial

from send import prepared, synchronous


def main() -> None:
    job = json.loads(sys.argv[1])
    sent = prepared("json", job["records"], keyed=False)
    smart = importlib.import_module(job["module"])
    config = smart.SmartProducerConfig.from_dict(
        {
            "bootstrap.servers": job["bootstrap"],
            **job["settings"],
            "topics": [job["topic"]],
            "health_manager": {
                "consumer_group": job["group"],
                "refresh_interval": job["interval"],
                "timeout_seconds": job["interval"],
            },
        }
    )
    with smart.SmartProducer(config) as producer:
        send = partial(producer.produce, job["topic"])
        send(*sent[0])
        producer.flush()
        watch = synchronous(job, sent, send, lambda handles: producer.flush(), producer.poll)
    raw = sum(len(part) for record in sent for part in record)
    said = {"seconds": watch.seconds, "cpu": watch.cpu, "records": len(sent), "raw": raw, "waited": None}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
