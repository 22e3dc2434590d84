"""What an agent may do in a process with these settings, as `superclient doctor` shows it: one line, and its limits."""

import socket
from collections.abc import Iterator, Mapping

from superclient import settings
from superclient.agent.optimizer import MAX_AWAITED_LINGER_MS, MAX_LINGER_MS
from superclient.cli._findings import Finding, Level

_CONTROLS = (
    "mode",
    "rollout_percent",
    "exclude_topics",
    "exclude_client_ids",
    "max_linger_ms",
    "allowed_codecs",
)


def examine(environ: Mapping[str, str]) -> list[Finding]:
    """The controls in effect: all of them as facts of the first line; those that limit anything have a line as well."""
    values = settings.read(environ)[0]
    limits = list(_limits(values))
    facts = {name: getattr(values, name) for name in _CONTROLS}
    free = f"linger up to {MAX_LINGER_MS} ms ({MAX_AWAITED_LINGER_MS} where sends are awaited), any codec"
    text = "limited by what follows" if limits else f"every producer is optimised; {free}"
    return [Finding("control", Level.OK, text, facts=facts), *limits, *_groups(values)]


def _groups(values: settings.Settings) -> Iterator[Finding]:
    """The consumer groups that the settings name; those that the metadata names are each producer's own."""
    named = [f"{group} (topic {topic})" for topic, group in values.consumer_groups]
    named += [f"{values.consumer_group} (every other topic)"] if values.consumer_group else []
    if named and values.partitioning in ("auto", "lag-aware"):
        text = f"records without a key avoid partitions where these consumer groups lag: {', '.join(named)}"
        yield Finding("partitioning", Level.INFO, text)
    elif named:
        text = f"consumer groups are named, and SUPERSTREAM_PARTITIONING={values.partitioning} goes by none"
        yield Finding("partitioning", Level.HINT, text)


def _limits(values: settings.Settings) -> Iterator[Finding]:
    if values.mode == "observe":
        yield Finding("mode", Level.INFO, "observe: producers are planned for and reported on, none is changed")
    if values.rollout_percent < 100:
        who = f"{values.rollout_percent:g} % of producers, by host name (here {socket.gethostname()}) and client id"
        yield Finding("rollout", Level.INFO, f"{who}; the others are observed")
    for name, what in (("exclude_topics", "topics"), ("exclude_client_ids", "client ids")):
        globs = getattr(values, name)
        if globs:
            yield Finding("excluded", Level.INFO, f"{what} {', '.join(globs)}: left as they are")
    if values.max_linger_ms is not None:
        yield Finding("ceiling", Level.INFO, f"linger up to {values.max_linger_ms} ms")
    if values.allowed_codecs is not None:
        yield Finding("ceiling", Level.INFO, f"codecs {', '.join(values.allowed_codecs)}")
