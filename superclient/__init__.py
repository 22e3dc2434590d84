"""Makes an unchanged Python program that produces to Apache Kafka cheaper and better balanced.

Importing any part of the package activates the agent, unless SUPERSTREAM_DISABLED is set. Once it is installed, the
interpreter does so itself at its start; nothing else of the package is imported before it is used.
"""

from superclient import _boot

__version__ = "0.1.0"

# Public names and the modules that define them, imported on first use (PEP 562): the start of every Python stays cheap.
_PUBLIC = {
    "ClusterStatus": "superclient.agent.answers",
    "Explanation": "superclient.agent.answers",
    "LibraryStatus": "superclient.agent.answers",
    "Setting": "superclient.agent.answers",
    "Status": "superclient.agent.answers",
    "FeatureOff": "superclient.agent.features",
    "deactivate": "superclient.agent.control",
    "explain": "superclient.agent.control",
    "status": "superclient.agent.control",
}

TYPE_CHECKING = False  # typing's own flag would cost the import of typing
if TYPE_CHECKING:
    from superclient.agent.answers import ClusterStatus as ClusterStatus
    from superclient.agent.answers import Explanation as Explanation
    from superclient.agent.answers import LibraryStatus as LibraryStatus
    from superclient.agent.answers import Setting as Setting
    from superclient.agent.answers import Status as Status
    from superclient.agent.control import deactivate as deactivate
    from superclient.agent.control import explain as explain
    from superclient.agent.control import status as status
    from superclient.agent.features import FeatureOff as FeatureOff

_boot.activate()


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(__import__(_PUBLIC[name], fromlist=(name,)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
