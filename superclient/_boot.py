"""What runs at interpreter start: the kill switch, and one import finder that waits for the Kafka libraries.

Every Python program of the machine pays for this file, so it imports sys and os and nothing else, and holds no more
than a miss needs. What a hit needs is in `_patching`, named here as a string like the adapters (AGT-3, AGT-8).
"""

import os
import sys

TYPE_CHECKING = False  # typing's own flag would cost the import of typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

TRUE_WORDS = ("true", "1", "yes", "on")

# The module that defines the producer class: the adapter package that patches it.
HOOKS = {
    "kafka.producer.kafka": "superclient.agent.adapters.kafka_python",
    "aiokafka.producer.producer": "superclient.agent.adapters.aiokafka",
    "confluent_kafka.cimpl": "superclient.agent.adapters.confluent",
}


class Finder:
    """Finds nothing itself: lets the other finders find a hooked module, and has it patched once it has executed."""

    superclient = True  # marks it as ours, whichever copy of this module made it

    def __init__(self) -> None:
        self.hooks = HOOKS
        self.finding: set[str] = set()
        self.patched: dict[str, ModuleType] = {}
        self.failed: dict[str, str] = {}

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec that the other finders have for a hooked module, its execution hooked; None for all others."""
        if name not in self.hooks or disabled():
            return None
        try:
            patching = _patching()
        except BaseException:  # uninstalled under a running program
            return None
        spec: ModuleSpec | None = patching.find_spec(self, name, path, target)
        return spec


def activate() -> None:
    """Install the finder unless it is there or switched off, and patch what is imported already; never raises."""
    try:
        if disabled() or installed() is not None:
            return
        finder = Finder()
        late = _patching() if not sys.modules.keys().isdisjoint(HOOKS) else None
        sys.meta_path.insert(0, finder)
        if late is not None:
            late.catch_up(finder)
    except BaseException:  # noqa: S110 - raising, or a SystemExit, would end every Python program of the machine
        pass


def disabled() -> bool:
    """Whether SUPERSTREAM_DISABLED switches the agent off."""
    return os.environ.get("SUPERSTREAM_DISABLED", "").strip().lower() in TRUE_WORDS


def installed() -> "Finder | None":
    """The finder on sys.meta_path: the once-marker, since a .pth may run twice and in new copies of this module."""
    for finder in sys.meta_path:
        if getattr(type(finder), "superclient", False) is True:
            return finder  # type: ignore[return-value]
    return None


def stand_down() -> None:
    """Keep the agent out of this process (our own commands, `deactivate`): the finder stays as the marker, and hooks
    nothing."""
    finder = installed() or Finder()
    finder.hooks = {}
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)


# The import system calls a finder with its global lock held; waiting there for a module that another thread is
# loading would be a deadlock. So nothing but this imports `_patching`, before the finder is installed or under that
# lock, and `_patching` itself imports nothing that is not loaded since the start.
def _patching() -> "Any":
    return __import__("superclient._patching", fromlist=("_",))
