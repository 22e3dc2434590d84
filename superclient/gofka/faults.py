"""The broker's errors: a text without a number, told from the other replies by its shape and sorted by its words."""

import re
from enum import Enum, auto

from superclient.gofka.errors import GofkaError, WireError

_SHOWN = 300
_PAST_END = re.compile(r"offset [0-9]{1,19} out of range \[(-?[0-9]{1,19}), ([0-9]{1,19})\)\Z")
_GENERATION = re.compile(r"\A[a-z ]+: generation mismatch: expected (-?[0-9]{1,10}), got (-?[0-9]{1,10})\Z")


class Kind(Enum):
    """What an error of the broker means to whoever asked."""

    NOT_LEADER = auto()
    """Not stored: the broker follows another one, or has no leader yet (its first two seconds)."""
    TIMED_OUT_ENQUEUING = auto()
    """Not stored: the broker had too much to do."""
    STORED = auto()
    """A Produce that did store its message, although the broker says that it failed."""
    PAST_END = auto()
    """No message there (yet). `base` means nothing, `end` is a hint: wrong on followers and after a restart."""
    NEGATIVE_OFFSET = auto()
    """No offset that there can be."""
    GENERATION = auto()
    """The group is at generation `expected`."""
    MEMBER_UNKNOWN = auto()
    """The group does not have this member, or no longer."""
    GROUP_UNKNOWN = auto()
    """There is no such group, or no longer."""
    POISONED = auto()
    """A topic from before a restart that the broker cannot open: an error, not an end to wait at."""
    OTHER = auto()
    """Anything else; whether a Produce stored its message is not known."""


# Names are in some of the texts: words with a place are looked for there, and those that tell a record's fate go first.
# Compiled when the first error is sorted, which most programs never see.
_WORDS = {
    Kind.STORED: r"\Afailed to produce message: failed to get or create log",
    Kind.POISONED: r"failed to parse base offset",
    Kind.NEGATIVE_OFFSET: r"offset -?[0-9]+ not found in any segment\Z",
    Kind.MEMBER_UNKNOWN: r"\A[a-z ]+: member .* not found in group ",
    Kind.GROUP_UNKNOWN: r"\A[a-z ]+: group .* not found\Z",
    Kind.NOT_LEADER: r"node is not the leader",
    Kind.TIMED_OUT_ENQUEUING: r"timed out enqueuing operation",
}


class BrokerError(GofkaError):
    """What the broker answered instead of doing as it was asked; the connection is as good as before.

    `str()` is for people, short and without the paths of the broker's files.

    Attributes:
        text: the whole of what it said, paths included.
        kind: what that means.
        base, end: the bracket of a PAST_END, else −1.
        expected, got: the generations of a GENERATION, else −1.
    """

    def __init__(self, text: str) -> None:
        super().__init__(_shown(text))
        self.text = text
        self.base = self.end = self.expected = self.got = -1
        self.kind = self._sort()

    def __reduce__(self) -> tuple[type["BrokerError"], tuple[str]]:
        return type(self), (self.text,)

    def _sort(self) -> Kind:
        # Only numbers that a request can carry back are taken.
        if (match := _PAST_END.search(self.text)) and max(numbers := [*map(int, match.groups())]) < 2**63:
            self.base, self.end = numbers
            return Kind.PAST_END
        if (match := _GENERATION.search(self.text)) and max(numbers := [*map(int, match.groups())]) < 2**31:
            self.expected, self.got = numbers
            return Kind.GENERATION
        return next((kind for kind, words in _WORDS.items() if re.search(words, self.text, re.DOTALL)), Kind.OTHER)


def fault_in(body: bytes) -> BrokerError | None:
    """The error that a body is, by the shape that no good reply of the APIs has whose replies can be errors."""
    if len(body) < 3 or body[0] != 0 or int.from_bytes(body[1:3], "big", signed=True) != len(body) - 3:
        return None
    return BrokerError(body[3:].decode("utf-8", "backslashreplace"))


def raise_fault(body: bytes) -> None:
    """Raises the BrokerError that a body is, if it is one."""
    if error := fault_in(body):
        raise error


def raise_unless_done(body: bytes) -> None:
    """Reads the reply that says nothing but that it was done; else BrokerError, or WireError where it is neither."""
    raise_fault(body)
    if body != b"\x01":
        raise WireError("a reply that neither says that it was done nor why not")


def _shown(text: str) -> str:
    """A text for people: Go's errors are "doing this: doing that: reason", and every part with a path is left out."""
    parts = re.sub(r'"[^"]*"?', "…", text).split(": ")
    with_path = [index for index, part in enumerate(parts) if "/" in part or "\\" in part]
    if with_path:
        parts[with_path[0] : with_path[-1] + 1] = ["…"]
    shown = "".join(character if character.isprintable() else "?" for character in ": ".join(parts))
    return (shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…") or "the broker gave no reason"
