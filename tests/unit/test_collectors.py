"""Queues out of a reading of offsets, and what a refresh makes of them."""

from __future__ import annotations

import pytest

from superclient.errors import NotAuthorized, Unreachable
from superclient.kafka.connection import Offsets
from superclient.partitioning.collectors import LATEST, GroupCollector, queues, refresh
from superclient.partitioning.state import LagState, Queue

TOPIC, GROUP = "orders", "group"


def offsets(ends, starts=None, committed=None, **more):
    starts = {TOPIC: starts} if starts else {}
    committed = {GROUP: {TOPIC: committed}} if committed else {GROUP: {}}
    return Offsets({TOPIC: ends}, starts, committed, **more)


class Reader:
    """A reader whose next answers are known."""

    def __init__(self, *answers):
        self.answers, self.asked, self.closed = list(answers), [], False

    def read(self, groups, timeout):
        self.asked.append((groups, timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        self.closed = True

    def abandon(self):
        pass


class TestQueues:
    def test_a_queue_is_what_lies_between_commit_and_end(self):
        """LAG-1: log end offset − committed offset."""
        found = queues(offsets({0: 100, 1: 7}, committed={0: 40, 1: 7}), GROUP, TOPIC)
        assert found == {0: Queue(60, 100), 1: Queue(0, 7)}

    def test_it_is_never_negative(self):
        """LAG-1: the commit was read later than the end, or the topic was made anew."""
        assert queues(offsets({0: 5}, committed={0: 9}), GROUP, TOPIC) == {0: Queue(0, 5)}

    def test_without_a_commit_it_begins_at_the_start_of_the_log(self):
        """LAG-1: never at 0, which retention may have left behind long ago."""
        assert queues(offsets({0: 100, 1: 100}, {0: 90, 1: 0}), GROUP, TOPIC) == {0: Queue(10, 100), 1: Queue(100, 100)}

    def test_where_the_group_starts_at_the_end_there_is_no_queue(self):
        """LAG-1: its reset policy cannot be seen from outside, so it is told."""
        found = queues(offsets({0: 100, 1: 100}, {0: 90, 1: 90}, {1: 95}), GROUP, TOPIC, LATEST)
        assert found == {0: Queue(0, 100), 1: Queue(5, 100)}

    def test_what_retention_took_waits_no_more(self):
        """LAG-1: a commit below the log start offset counts from there, whatever the group does about it."""
        for reset in ("earliest", LATEST):
            assert queues(offsets({0: 100}, {0: 90}, {0: 20}), GROUP, TOPIC, reset) == {0: Queue(10, 100)}

    def test_where_the_start_is_not_known_either_there_is_no_queue(self):
        """LAG-1: its leader went away in the middle of the reading; rather none than one that is made up."""
        assert queues(offsets({0: 100}), GROUP, TOPIC) == {0: Queue(0, 100)}

    def test_a_topic_that_was_not_read_has_no_queues(self):
        """LAG-1: it does not exist."""
        assert queues(offsets({0: 1}), GROUP, "other") == {}


class TestGroupCollector:
    def test_all_topics_are_one_reading(self):
        """LAG-2: of the one group."""
        reader = Reader(Offsets({"orders": {0: 5}, "carts": {0: 2}}, {}, {GROUP: {"orders": {0: 1}, "carts": {0: 2}}}))
        collector = GroupCollector(reader, GROUP)
        found = collector.collect(["orders", "carts", "missing"], 3.0)
        assert found == {"orders": {0: Queue(4, 5)}, "carts": {0: Queue(0, 2)}}
        assert reader.asked == [({GROUP: ["orders", "carts", "missing"]}, 3.0)]
        collector.close()
        assert reader.closed

    def test_a_group_that_is_refused_is_an_error(self):
        """LAG-2: ends alone say nothing about its queues."""
        reader = Reader(offsets({0: 1}, refused={GROUP: NotAuthorized("no")}))
        with pytest.raises(NotAuthorized):
            GroupCollector(reader, GROUP).collect([TOPIC], 3.0)


class TestRefresh:
    def test_a_refresh_takes_in_what_is_there_and_forgets_what_is_gone(self):
        """LAG-2: a topic that was deleted is steered by no more."""
        state = LagState()
        reader = Reader(offsets({0: 9}, committed={0: 4}), Offsets({}))
        collector = GroupCollector(reader, GROUP)
        refresh(state, collector, [TOPIC], 10.0, 3.0)
        assert state.views[TOPIC].lags == {0: 5}
        assert state.views[TOPIC].at == 10.0
        refresh(state, collector, [TOPIC], 20.0, 3.0)
        assert state.views == {}

    def test_a_refresh_that_fails_leaves_what_was_seen(self):
        """LAG-2: and it is the caller's to say so, and to back off."""
        state = LagState()
        collector = GroupCollector(Reader(offsets({0: 9}, committed={0: 4}), Unreachable("away")), GROUP)
        refresh(state, collector, [TOPIC], 10.0, 3.0)
        before = dict(state.views)
        with pytest.raises(Unreachable):
            refresh(state, collector, [TOPIC], 20.0, 3.0)
        assert state.views == before
