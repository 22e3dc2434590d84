"""Every benchmark, one after the other; about ten minutes on two quiet cores.

python -m benchmarks [--quick] [--no-peer]
"""

import subprocess
import sys

from benchmarks._harness import options

NAMES = (
    "start",
    "calls",
    "construct",
    "memory",
    "throughput",
    "wire",
    "sticky",
    "awaited",
    "retune",
    "chosen",
    "smart",
    "producing",
    "consuming",
    "relay",
    "messaging",
)
# Questions asked once, not figures of every release; half an hour of lag; what is the same on every machine; what needs
# a broker that is not Kafka.
SEPARATE = ("codecs", "sweep", "lag", "lag_simulation", "gofka_producer", "gofka_consumer")


def main() -> int:
    """Run each in a process of its own; the number of those that failed to run. A goal that is missed is no failure."""
    options(__doc__)
    failed = [
        name
        for name in NAMES
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=False).returncode
    ]
    if failed:
        print(f"benchmarks: did not run to their end: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
