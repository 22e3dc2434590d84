"""The table of names: true to the libraries, and the same there and back."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.kafka import LIBRARIES
from superclient.kafka.vocabulary import _EXCEPTIONS, BATCH, COMPRESSION, LINGER, canonical_name, native_names


def known_names(library):
    """The settings that the library's producer takes; for librdkafka a question, as it has no list."""
    if library == "kafka-python":
        from kafka import KafkaProducer

        return set(KafkaProducer.DEFAULT_CONFIG)
    from aiokafka import AIOKafkaProducer

    return set(inspect.signature(AIOKafkaProducer.__init__).parameters)


def librdkafka_knows(name):
    from confluent_kafka import KafkaException, Producer

    try:
        Producer({name: "no such value, surely"})
    except KafkaException as error:
        return "No such configuration property" not in str(error)
    return True


ENTRIES = [
    (library, canonical, native)
    for library in LIBRARIES
    for canonical in {*_EXCEPTIONS[library], COMPRESSION, BATCH, LINGER, "acks", "bootstrap.servers", "client.id"}
    for native in native_names(library, canonical)
]


@pytest.mark.parametrize(("library", "canonical", "native"), sorted(ENTRIES))
def test_the_library_knows_the_name(library, canonical, native):
    """AGT-20: every name that may be written is one that the library's producer takes."""
    if library == "confluent-kafka":
        assert librdkafka_knows(native)
    else:
        assert native in known_names(library)


@pytest.mark.parametrize(("library", "canonical", "native"), sorted(ENTRIES))
def test_every_alias_leads_back(library, canonical, native):
    """TST-7: canonical → native → canonical, for each alias."""
    assert canonical_name(library, native) == canonical


@pytest.mark.parametrize("library", ["kafka-python", "aiokafka"])
def test_no_two_settings_share_a_name(library):
    """TST-7: native → canonical → native, for every setting of the Python libraries."""
    for native in known_names(library) - {"self", "args", "kwargs"}:
        assert native in native_names(library, canonical_name(library, native))


words = st.from_regex(r"[a-z]{1,10}(\.[a-z]{1,10}){0,4}", fullmatch=True)


@given(library=st.sampled_from(LIBRARIES), canonical=words)
def test_names_outside_the_table_make_the_round_trip(library, canonical):
    """TST-7: a setting nobody has heard of keeps its name."""
    if canonical not in {name for names in _EXCEPTIONS[library].values() for name in names}:
        assert {canonical_name(library, native) for native in native_names(library, canonical)} == {canonical}
