"""A level for the gzip of kafka-python and aiokafka, which have no setting for it and always take the slowest, 9.

Both compress through a module's `gzip_encode(payload, compresslevel=None)`. A producer whose gzip is the agent's own
choice gets the level of its plan; one whose program chose gzip keeps what the library does.
"""

import functools
from collections.abc import Callable
from typing import Any

LEVELS = {"gzip": (1, 9)}
_MARK = "_superclient_level"


def patch(module: Any, level_now: Callable[[], int | None]) -> bool:
    """Let the module's gzip take the level that `level_now()` gives, None: the library's own. False if it has none."""
    encode = vars(module).get("gzip_encode")
    if encode is None:
        return False
    if not hasattr(encode, _MARK):

        @functools.wraps(encode)
        def gzip_encode(payload: Any, compresslevel: int | None = None) -> Any:
            return encode(payload, compresslevel or level_now())

        setattr(gzip_encode, _MARK, True)
        module.gzip_encode = gzip_encode
    return True
