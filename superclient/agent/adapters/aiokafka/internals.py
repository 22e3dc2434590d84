"""The private names of aiokafka (0.10 to 0.14) each feature needs, probed: a miss turns the feature off (AGT-61)."""

import functools
from types import ModuleType
from typing import Any

import wrapt

from superclient.agent import features
from superclient.kafka.vocabulary import BATCH, COMPRESSION, LINGER

WAITERS = ("_waiter_future", "_wait_data_future")  # from 0.14 on, up to 0.13

_WRAPPER = "_superclient_wrapper"
_ACCUMULATOR = {COMPRESSION: ("_compression_type",), BATCH: ("_batch_size",), LINGER: ("_batches", "_cluster", "_loop")}
_HOOKED: dict[str, dict[str, tuple[str, ...]]] = {
    "counting": {
        "MessageAccumulator": ("_append_batch",),
        "MessageBatch": ("failure", "retry_count"),
        "BatchBuilder": ("_build", "size", "record_count"),
        "SendProduceReqHandler": ("do",),
    },
    "linger": {
        "MessageAccumulator": ("drain_by_nodes", "_append_batch", "flush", "flush_for_commit"),
        "MessageBatch": ("append", "wait_drain", "is_empty", "tp", "retry_count"),
        "Sender": ("_sender_routine",),
        "SendProduceReqHandler": ("do", "create_request"),
    },
    "partitioning": {
        "MessageAccumulator": ("_append_batch",),
        "MessageBatch": ("tp",),
        "BatchBuilder": ("size",),
    },
}


def classes(module: ModuleType) -> dict[str, Any]:
    """The classes that the producer's module works with, by name; those that this version lacks are absent."""
    import importlib

    package = module.__name__.rpartition(".")[0]
    found: dict[str, Any] = {}
    for part in ("message_accumulator", "sender"):
        try:
            found.update(vars(importlib.import_module(f"{package}.{part}")))
        except ImportError:
            pass
    names = {name for needed in _HOOKED.values() for name in needed}
    return {name: found[name] for name in names if name in found}


def complete(feature: str, known: dict[str, Any]) -> bool:
    """Whether all that a feature hooks is there; where it is not, the feature is off, and that is said once."""
    for owner, names in _HOOKED[feature].items():
        for name in names:
            if not hasattr(known.get(owner), name):
                features.off("aiokafka", feature, f"{owner}.{name}")
                return False
    return True


def tunable(producer: Any | None, linger: bool) -> frozenset[str]:
    """The settings that this live producer can take; those that any could, where there is none yet."""
    if producer is None:
        return frozenset(_ACCUMULATOR)
    accumulator = getattr(producer, "_message_accumulator", None)
    found = set()
    for setting, names in _ACCUMULATOR.items():
        absent = [name for name in names if not hasattr(accumulator, name)]
        if setting == LINGER and not any(hasattr(accumulator, name) for name in WAITERS):
            absent.append(WAITERS[0])
        if absent:
            features.off("aiokafka", setting, f"MessageAccumulator.{absent[0]}")
        elif setting != LINGER or linger:
            found.add(setting)
    return frozenset(found)


def hook(owner: Any, name: str, wrapper: Any) -> None:
    """Wrap a method that programs see, in place; signature, source and flags stay what they were."""
    wrapt.wrap_function_wrapper(owner, name, wrapper)


def hook_inside(owner: Any, name: str, hooking: Any) -> None:
    """The same for a method that only the library calls, by the plain function `hooking(original)`: called often, so
    cheap.

    Once: a reload of one module must not wrap the classes of another again.
    """
    original = current = getattr(owner, name)
    while current is not None:
        if getattr(current, _WRAPPER, None) is hooking:
            return
        current = getattr(current, "__wrapped__", None)
    method = functools.wraps(original)(hooking(original))
    setattr(method, _WRAPPER, hooking)
    setattr(owner, name, method)
