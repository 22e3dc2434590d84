"""The cache in memory: what it keeps, for how long, and in how much room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from superclient.smart.cache.memory import RENEWALS, DefaultLocalCache
from superclient.smart.config import CacheConfig


class Clock:
    """Time that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def cache(most: int = 1000, ttl: float = 300.0) -> tuple[DefaultLocalCache, Clock]:
    clock = Clock()
    return DefaultLocalCache(CacheConfig(local_max_size=most, local_ttl_seconds=ttl), clock=clock), clock


KEYS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.one_of(st.none(), st.floats(0.01, 20.0))),
        st.tuples(st.just("add"), KEYS, st.one_of(st.none(), st.floats(0.01, 20.0))),
        st.tuples(st.just("get"), KEYS, st.none()),
        st.tuples(st.just("renew"), KEYS, st.none()),
        st.tuples(st.just("delete"), KEYS, st.none()),
        st.tuples(st.just("wait"), st.just(""), st.floats(0.0, 15.0)),
    ),
    max_size=60,
)


@given(steps=STEPS, most=st.integers(0, 4))
def test_as_a_simple_model_says(steps: list[Any], most: int) -> None:
    """KSP-25, KSP-32: the least recently used goes first, all after their own time, and never more than the bound."""
    held, clock = cache(most, 10.0)
    model: OrderedDict[str, tuple[int, float, float]] = OrderedDict()  # value, ttl, end
    for number, (what, key, ttl) in enumerate(steps):
        live = key in model and model[key][2] > clock.now
        if what == "wait":
            clock.now += ttl
        elif what == "delete":
            held.delete(key)
            model.pop(key, None)
        elif what in ("get", "renew"):
            assert held.get_nowait(key, renew=what == "renew") == (model[key][0] if live else None)
            if live:
                value, own, end = model[key]
                model[key] = (value, own, clock.now + own if what == "renew" else end)
                model.move_to_end(key)
        else:
            (held.set if what == "set" else held.add)(key, number, ttl)
            if what == "set" or not live:
                own = 10.0 if ttl is None else ttl
                model[key] = (number, own, clock.now + own)
            model.move_to_end(key)
            while len(model) > most:
                model.popitem(last=False)
        assert held.size <= most
    for key, (value, _, end) in list(model.items()):
        assert held.get(key) == (value if end > clock.now else None)


def test_times_below_a_second() -> None:
    """KSP-25, KSP-29: fractions of a second count, of the configured time and of an entry's own."""
    held, clock = cache(ttl=0.5)
    held.set("a", 1)
    held.set("b", 2, 0.25)
    clock.now += 0.3
    assert (held.get("a"), held.get("b")) == (1, None)
    clock.now += 0.2
    assert held.get("a") is None


def test_told_when_the_store_is_to_hear_of_it() -> None:
    """KSP-8: what is in use is to be written again a few times within its time, not with every look."""
    held, clock = cache(ttl=100.0)
    held.set("k", 1, store_ttl=8.0)
    entry = held.find("k")
    assert entry is not None
    told = []
    for _ in range(80):
        clock.now += 0.1
        told.append(entry.renew(clock.now))
    assert sum(told) == RENEWALS
    assert held.get("k") == 1


def test_many_threads_at_once() -> None:
    """KSP-25, KSP-32: no lost bound, no error and no strange value, however threads meet."""
    held, _ = cache(most=50)
    problems: list[BaseException] = []

    def use(seed: int) -> None:
        try:
            for number in range(4000):
                key = str((number * seed) % 97)
                held.set(key, int(key))
                assert held.get_nowait(key, renew=True) in (None, int(key))
                held.add(str((number + seed) % 97), (number + seed) % 97)
                if number % 7 == 0:
                    held.delete(key)
                if number % 1000 == 0:
                    held.clear()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in (1, 5, 11, 23)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    held.set("last", 1)
    assert held.size <= 50


def test_closed_it_knows_nothing() -> None:
    """KSP-32: a closed cache keeps nothing, whoever still uses it."""
    held, _ = cache()
    held.set("a", 1)
    held.close()
    held.set("a", 2)
    assert (held.get("a"), held.size) == (None, 0)
    held.close()
