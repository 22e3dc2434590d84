"""The public names as a program uses them; type-checked by tests/unit/test_control.py, never run."""

from __future__ import annotations

from typing import Literal

import superclient


def inspect(producer: object) -> None:
    """Every answer has the type that its docstring promises."""
    explanation: superclient.Explanation = superclient.explain(producer)
    setting: superclient.Setting = explanation["linger.ms"]
    origin: Literal["user", "library", "default", "recommendation"] = setting.origin
    name: str = setting.name
    value: object = setting.value
    topics: tuple[str, ...] = explanation.topics
    print(explanation, origin, name, value, topics)


def process() -> bool:
    """The status of the process, down to its parts."""
    status: superclient.Status = superclient.status()
    clusters: tuple[superclient.ClusterStatus, ...] = status.clusters
    libraries: tuple[superclient.LibraryStatus, ...] = status.libraries
    features: tuple[superclient.FeatureOff, ...] = status.features_off
    reported: list[float | None] = [cluster.reported for cluster in clusters]
    print(reported, [one.patched for one in libraries], [one.why for one in features])
    producers: tuple[superclient.Explanation, ...] = status.producers
    return status.active and bool(producers)


def off() -> None:
    """Switching off returns nothing."""
    superclient.deactivate()
    wrong: int = superclient.status()  # type: ignore[assignment]  # not Any: a mistake is found
    print(wrong)
