"""What librdkafka itself says, through the extension that is loaded already: its defaults, its codecs, its queue.

All of it is public API of librdkafka, exported by the wheels. Where a build hides it, nothing is known.
"""

import ctypes
from functools import cached_property
from typing import Any

from superclient.agent import features, log
from superclient.agent.adapters.confluent import conf
from superclient.contract import CODECS

_HEADER = object.__basicsize__  # of a Python object: what follows is confluent-kafka's own struct
_WORD = ctypes.sizeof(ctypes.c_void_p)
_HANDLE, _STATS_CB = 0, 3  # the struct's words: rd_kafka_t *, error_cb, throttle_cb, stats_cb; 2.3 to 2.16


class Native:
    """The librdkafka inside one loaded extension module; read once."""

    def __init__(self, path: str) -> None:
        self._path = path

    @cached_property
    def defaults(self) -> dict[str, object]:
        """The library's defaults by canonical name, as numbers where they are; empty where they cannot be read."""
        try:
            topic = {name: value for name, value in self._dump("topic_conf").items() if value != "inherit"}
            return conf.canonical({name: _typed(value) for name, value in {**topic, **self._settings}.items()})
        except Exception as error:
            log.failure(conf.LIBRARY, "reading librdkafka's defaults", error)
            return {}

    @cached_property
    def codecs(self) -> frozenset[str]:
        """The codecs in this build; all where it does not say, for its constructor refuses one that is not there."""
        try:
            features = self._settings["builtin.features"].split(",")
        except Exception:
            return frozenset(CODECS)
        return frozenset({"none", *(codec for codec in CODECS if codec in features)})

    def messages(self, handle: Any, stats_cb: object) -> int | None:
        """Messages of a handle that are not delivered, or whose report is not served; None where it cannot be told.

        The length that a handle tells is those plus all events in its queue.
        """
        library, pointer = self._library, self._pointer(handle, stats_cb)
        if library is None or pointer is None:
            return None
        queue = library.rd_kafka_queue_get_main(pointer)
        try:
            events: int = library.rd_kafka_queue_length(queue)
        finally:
            library.rd_kafka_queue_destroy(queue)
        length: int = library.rd_kafka_outq_len(pointer)
        return max(0, length - events)

    def connected(self, handle: Any, stats_cb: object) -> bool:
        """Whether a handle has reached its cluster, and was let in: then it knows who the controller is."""
        library, pointer = self._library, self._pointer(handle, stats_cb)
        if library is None or pointer is None:
            return False
        return bool(library.rd_kafka_controllerid(pointer, 0) != -1)

    def _pointer(self, handle: Any, stats_cb: object) -> int | None:
        """librdkafka's own pointer in a handle's struct, which is recognised by the callback that it was made with:
        only where that is in its place is the first word taken for what it is."""
        if type(handle).__basicsize__ < _HEADER + (_STATS_CB + 1) * _WORD:
            return None
        words = (ctypes.c_void_p * (_STATS_CB + 1)).from_address(id(handle) + _HEADER)
        return words[_HANDLE] if words[_STATS_CB] == id(stats_cb) else None

    @cached_property
    def _library(self) -> Any | None:
        try:
            library = ctypes.PyDLL(self._path)  # keeps the GIL: nobody closes the handle meanwhile
            library.rd_kafka_queue_get_main.restype = ctypes.c_void_p
            library.rd_kafka_queue_get_main.argtypes = [ctypes.c_void_p]
            library.rd_kafka_queue_length.restype = ctypes.c_size_t
            library.rd_kafka_queue_length.argtypes = [ctypes.c_void_p]
            library.rd_kafka_queue_destroy.restype = None
            library.rd_kafka_queue_destroy.argtypes = [ctypes.c_void_p]
            library.rd_kafka_outq_len.argtypes = [ctypes.c_void_p]
            library.rd_kafka_controllerid.argtypes = [ctypes.c_void_p, ctypes.c_int]
        except (OSError, AttributeError) as error:
            features.off(conf.LIBRARY, "statistics in len()", f"queue to look into ({type(error).__name__})")
            return None
        return library

    @cached_property
    def _settings(self) -> dict[str, str]:
        return self._dump("conf")

    def _dump(self, kind: str) -> dict[str, str]:
        library = ctypes.PyDLL(self._path)
        texts = ctypes.POINTER(ctypes.c_char_p)
        new, dump = getattr(library, f"rd_kafka_{kind}_new"), getattr(library, f"rd_kafka_{kind}_dump")
        destroy, free = getattr(library, f"rd_kafka_{kind}_destroy"), library.rd_kafka_conf_dump_free
        new.restype, new.argtypes = ctypes.c_void_p, []
        dump.restype, dump.argtypes = texts, [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)]
        free.restype, free.argtypes = None, [texts, ctypes.c_size_t]
        destroy.restype, destroy.argtypes = None, [ctypes.c_void_p]
        made, count = new(), ctypes.c_size_t()
        try:
            found = dump(made, ctypes.byref(count))
            words = [(found[index] or b"").decode() for index in range(count.value)]
            free(found, count)
        finally:
            destroy(made)
        return dict(zip(words[::2], words[1::2], strict=True))


def _typed(value: str) -> object:
    if value in ("true", "false"):
        return value == "true"
    try:
        return int(value)
    except ValueError:
        return value
