"""Who is in a rollout: each producer has a number of its own, and is in where that is below the percentage. Pure.

The number is a hash of host name and client id: the same in every process and on every Python, so that a restart moves
nobody in or out, and raising a percentage only adds producers. All rollouts share it: who is first is first in each.
"""

import hashlib


def place(host: str, client_id: str) -> float:
    """The producer's number, in percent: 0 to below 100, to four decimals."""
    name = f"{host}\0{client_id}".encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") % 1_000_000 / 10_000


def within(number: float, percent: float) -> bool:
    """Whether a producer with this number is among that share of producers; nobody is among 0, everybody among 100."""
    return number < percent
