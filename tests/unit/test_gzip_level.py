"""gzip at the agent's level: the bytes that the library would have made, with no more memory than a batch can use."""

import gzip
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.agent.adapters import gzip_level


@given(st.binary(min_size=1, max_size=200), st.integers(1, 400), st.sampled_from(gzip_level.LEVELS["gzip"]))
def test_what_is_compressed_is_what_was_given(part: bytes, times: int, level: int) -> None:
    """AGT-32: any decoder of gzip reads it, whatever the size."""
    payload = part * times
    assert gzip.decompress(gzip_level.compressed(payload, level)) == payload
    small = gzip_level.compressed(payload, level, plain_below=0xFFFF)
    assert gzip.decompress(small) == payload
    assert len(small) > len(payload) or len(payload) >= 0xFFFF  # so that kafka-python sends it plain


@pytest.mark.parametrize("size", [50, 250, 512, 513, 1000, 5000, 16_384, 70_000, 1_000_000])
def test_small_tables_cost_no_bytes(size: int) -> None:
    """Within 1 % of the library's gzip at the same level, for records that repeat themselves."""
    rng = random.Random(size)
    words = [rng.randbytes(rng.randrange(3, 12)) for _ in range(300)]
    payload = b"".join(rng.choices(words, k=size))[:size]
    assert len(gzip_level.compressed(payload, 3, plain_below=50)) <= len(gzip.compress(payload, 3)) * 1.01


def test_the_programs_own_gzip_is_left_alone() -> None:
    """AGT-31: without a level of the agent's, or with one that the caller names, the library compresses."""
    asked: list[tuple[bytes, int | None]] = []
    module = SimpleNamespace(gzip_encode=lambda payload, compresslevel=None: asked.append((payload, compresslevel)))
    level: list[int | None] = [None]
    assert gzip_level.patch(module, lambda: level[0])
    module.gzip_encode(b"x")
    level[0] = 3
    module.gzip_encode(b"x", 7)
    assert asked == [(b"x", None), (b"x", 7)]
    assert gzip.decompress(module.gzip_encode(b"x")) == b"x"
