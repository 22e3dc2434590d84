"""What it costs to give new settings to a hundred live producers, and what the agent's thread costs by itself.

    python -m benchmarks.retune [--quick]

There is nothing to compare with: neither the bare libraries nor the peer change a live producer. The CPU time is that
of the agent's own thread. A loop is blocked where the thread keeps the interpreter to itself; what the machine does to
the same loop without a retune is taken off.
"""

from benchmarks._harness import OURS, arms, broker, options, progress, recommendation, run
from benchmarks._report import Row, publish
from benchmarks._statistics import spread

LIBRARIES = ("kafka-python", "aiokafka")
COUNT = 100
FIGURES = (
    ("retune", f"new settings for {COUNT} producers, CPU time", 50.0),
    ("beat", "with the reports of them, CPU time", None),
    ("nothing", "a beat with nothing to do, CPU time", 5.0),
    ("blocked", "event loop blocked by it", 5.0),
)


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    ours = next(arm for arm in arms(peer=False) if arm.name == OURS)
    rows: list[Row] = []
    with broker() as kafka:
        topic = kafka.create_topic("retuned", 4)
        kafka.publish_metadata(recommendation({"linger.ms": 2}, topic))
        for library in LIBRARIES:
            turns = 6 if chosen.quick else 20
            progress(f"retune: {library}, {turns} turns")
            job = {"library": library, "bootstrap": kafka.bootstrap, "topic": topic, "count": COUNT, "turns": turns}
            said = run(ours, "retune", job, timeout=300)
            assert isinstance(said, dict), said
            said["blocked"] = [
                with_it - without for with_it, without in zip(said["blocked"], said["blocked without"], strict=True)
            ]
            for name, what, goal in FIGURES:
                found = spread(said[name])
                rows.append(Row(f"{library}, {what}", {OURS: found}, found, goal, "ms", "added"))
    publish("retune", rows)


if __name__ == "__main__":
    main()
