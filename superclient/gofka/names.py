"""What may be the name of a topic or a group: the broker makes file paths of them."""

import re

from superclient.gofka.errors import GofkaError, GroupNameError, TopicNameError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_TAKEN = {"topic": ("offsets", "consumer-groups"), "group": ("previous_assignments",)}
_NUMBERED = re.compile(r"-\d+\Z")


def check_topic(name: str) -> str:
    """The same. Raises TopicNameError for one that the broker cannot keep apart from its own files, or another topic's.

    A topic "X-1" would have the folder of partition 1 of a topic "X".
    """
    _check("topic", name, TopicNameError)
    if _NUMBERED.search(name):
        raise TopicNameError(f"a topic's name may not end in a dash and digits, as a partition's folder does: {name!r}")
    return name


def check_group(name: str) -> str:
    """The same. Raises GroupNameError for one that the broker cannot keep apart from its own files."""
    _check("group", name, GroupNameError)
    return name


def _check(what: str, name: str, error: type[GofkaError]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in (".", "..", *_TAKEN[what]):
        shown = repr(name)[:100]
        raise error(f"a {what}'s name is 1 to 249 of A-Z a-z 0-9 . _ - and none of the broker's own: {shown}")
