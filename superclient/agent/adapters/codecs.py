"""The codecs that a Python library can write, asked anew each time: what was importable at the start may be gone.

A codec that is set live without its library loses records silently (kafka-python) or ends the sender (aiokafka).
"""

from collections.abc import Iterator, Mapping
from typing import Any


class Codecs(Mapping[str, int]):
    """Codec → attribute bits, of those whose library is here now; `table`: the library's own, name → (check, bits)."""

    def __init__(self, table: Mapping[str | None, tuple[Any, int]]) -> None:
        self._table = {name or "none": (installed, bits) for name, (installed, bits) in table.items()}

    def __getitem__(self, name: str) -> int:
        installed, bits = self._table[name]
        if not installed():
            raise KeyError(name)
        return bits

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._table if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
