"""One pure generator of delays; every retry in the house uses it."""

from collections.abc import Callable, Iterator


def delays(
    base: float,
    cap: float,
    *,
    factor: float = 2.0,
    jitter: float = 0.1,
    uniform: Callable[[float, float], float] | None = None,
) -> Iterator[float]:
    """Yield seconds to wait before the next attempt, for ever: base·factor^n, at most cap, each ± jitter.

    The jitter (a share of the delay, 0 to 1) keeps many processes that failed together from coming back together
    (M. Brooker, "Exponential Backoff and Jitter", 2015). `uniform` is that of `random` if none is given.
    """
    if uniform is None:
        import random  # here, since it brings hashlib and more along, which those who never wait need not pay

        uniform = random.uniform
    delay = base
    while True:
        yield delay * (1.0 + uniform(-jitter, jitter))
        delay = min(cap, delay * factor)
