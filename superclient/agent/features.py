"""What is off because this version of a library lacks something that it needs: said once, and remembered (AGT-61).

An adapter probes the private names of each feature before it uses them. A miss turns off that feature alone;
`superclient.status()` and `superclient doctor` show it.
"""

from typing import NamedTuple

from superclient.agent import log

_MOST = 100  # there are a dozen features: a memory that cannot grow needs no second thought


class FeatureOff(NamedTuple):
    """A feature that is off: of which library, its name, and what was missing, in a phrase."""

    library: str
    feature: str
    why: str


_off: dict[tuple[str, str], FeatureOff] = {}


def off(library: str, feature: str, missing: str) -> None:
    """This version has no `missing`, so the agent leaves `feature` alone: one warning, the first time."""
    why = f"this version has no {missing}"
    if len(_off) < _MOST:
        _off.setdefault((library, feature), FeatureOff(library, feature, why))
    log.warn_once(library, feature, f"{why}: the agent leaves {feature} alone")


def missing() -> tuple[FeatureOff, ...]:
    """All that is off in this process, in the order in which it was found."""
    return tuple(_off.values())
