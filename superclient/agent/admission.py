"""Is this producer to be touched at all? The operator's word, heard before any recommendation is looked at. Pure.

AGT-60, AGT-63 and AGT-64: who is excluded keeps its own settings, who is outside the rollout is planned for and not
changed. Both go on being reported. Each answer is a phrase that says why, "" for no.
"""

from collections.abc import Collection
from fnmatch import fnmatchcase

from superclient.agent import rollout
from superclient.agent.model import Advice, ProducerRequest
from superclient.settings import Settings


def left_alone(request: ProducerRequest, seen: Collection[str], advice: Advice, settings: Settings) -> str:
    """Why a producer that was seen to write these topics is to be left as it is.

    What it was seen to write decides. Before that, `SUPERSTREAM_TOPICS_LIST` speaks for every producer of the process,
    so one excluded topic in it is enough; and with SUPERSTREAM_EXCLUDE_TOPICS alone it is not known yet: an exclusion
    holds from the first record on.
    """
    glob = _match(request.client_id, settings.exclude_client_ids)
    if glob:
        return f"its client id matches {glob} of SUPERSTREAM_EXCLUDE_CLIENT_IDS"
    verb, topics = ("writes", seen) if seen else ("may write", settings.topics_list)
    for topic in sorted(topics):
        why = excluded(topic, advice, settings)
        if why:
            return f"it {verb} {topic}, {why}"
    if settings.exclude_topics and not topics:
        return "SUPERSTREAM_EXCLUDE_TOPICS is set, and what it writes is not known yet"
    return ""


def excluded(topic: str, advice: Advice, settings: Settings) -> str:
    """Why a topic is to be left alone, in this process or by its metadata."""
    glob = _match(topic, settings.exclude_topics)
    if glob:
        return f"which matches {glob} of SUPERSTREAM_EXCLUDE_TOPICS"
    known = advice.metadata.topics.get(topic)
    return "" if known is None or known.enabled else "of which the metadata says enabled: false"


def observed(settings: Settings, place: float) -> str:
    """Why a producer with this number is to be planned for and not changed."""
    if settings.mode == "observe":
        return "SUPERSTREAM_MODE=observe"
    if not rollout.within(place, settings.rollout_percent):
        return f"its number {place:g} is not within SUPERSTREAM_ROLLOUT_PERCENT={settings.rollout_percent:g}"
    return ""


def _match(name: str, globs: Collection[str]) -> str:
    return next((glob for glob in globs if fnmatchcase(name, glob)), "")
