"""Lane against a naive model: whatever is handed out and done with in whatever order, no commit passes a record."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from superclient.messaging.lanes import Lane, Partition


def records(*offsets: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


def lane(*offsets: int, tracked: bool = True) -> Lane:
    made = Lane(Partition("orders", 0), tracked)
    if offsets:
        made.add(records(*offsets), offsets[-1] + 1)
    return made


class Model:
    """Every record that came since the last rewind, and how many copies of it somebody still has to be done with."""

    def __init__(self, offset: int | None) -> None:
        self.waiting: list[int] = []
        self.left: dict[int, int] = {}
        self.next = offset

    @property
    def committable(self) -> int | None:
        undone = [offset for offset, left in self.left.items() if left] + self.waiting
        return min(undone) if undone else self.next


@given(st.data())
def test_a_lane_is_what_a_list_of_its_records_says(data: st.DataObject) -> None:
    """SDM-9: committable is the lowest record that somebody is not done with, else the one after the last."""
    ours, model, end = lane(), Model(None), 0
    for step in data.draw(st.lists(st.sampled_from(["add", "open", "skip", "done", "foreign", "rewind"]), max_size=60)):
        if step == "add":  # with gaps, as of compacted topics and transactions
            came = [end := end + gap for gap in data.draw(st.lists(st.integers(1, 3), max_size=5))]
            end += data.draw(st.integers(0, 2))  # and some at the end that could not be deserialized
            ours.add(records(*came), end + 1)
            model.waiting += came
            model.next = end + 1
        elif step in ("open", "skip") and model.waiting:
            offset = ours.backlog.popleft().offset
            assert offset == model.waiting.pop(0)
            if step == "open":  # else nobody wanted it, or its parser raised
                copies = data.draw(st.integers(1, 3))
                ours.open(offset, copies)
                model.left[offset] = copies
        elif step == "done" and (held := [offset for offset, left in model.left.items() if left]):
            offset = data.draw(st.sampled_from(held))
            model.left[offset] -= 1
            assert ours.done(offset) == (model.left[offset] == 0)
        elif step == "foreign":  # of an assignment that is over, or done with already
            known = {offset for offset, left in model.left.items() if left}
            offset = data.draw(st.integers(0, end + 5).filter(lambda offset, known=known: offset not in known))
            assert not ours.done(offset)
        elif step == "rewind":
            end = data.draw(st.integers(0, end + 5))
            ours.rewind(end)
            model = Model(end)
        assert ours.committable == model.committable
        assert ours.pending == sum(left > 0 for left in model.left.values())
        assert (ours.next, [one.offset for one in ours.backlog]) == (model.next, model.waiting)


@given(st.permutations(range(8)))
def test_what_is_committed_never_goes_back(order: list[int]) -> None:
    """SDM-9: done with in any order; the last one frees all of them."""
    ours = lane(*range(8))
    for offset in range(8):
        ours.open(offset)
    ours.backlog.clear()
    before = 0
    for done, offset in enumerate(order):
        assert ours.done(offset)
        finished = set(order[: done + 1])
        assert ours.committable == min(set(range(9)) - finished)
        assert ours.committable >= before
        before = ours.committable
    assert (ours.committable, ours.pending) == (8, 0)


def test_nothing_is_known_of_a_new_lane() -> None:
    """SDM-10: there is nothing to commit before a position is known."""
    assert (lane().committable, lane().pending, lane().next) == (None, 0, None)


def test_a_record_of_two_readers_waits_for_both() -> None:
    """SDM-14: two copies are handed out; the first reader that is done with it frees nothing."""
    ours = lane(5)
    ours.open(ours.backlog.popleft().offset, copies=2)
    assert (ours.done(5), ours.committable) == (False, 5)
    assert (ours.done(5), ours.committable) == (True, 6)
    assert (ours.done(5), ours.committable) == (False, 6)


def test_an_untracked_lane_holds_nothing_back() -> None:
    """SDM-10: nobody commits, so nothing is kept of what was handed out, however much that is."""
    ours = lane(1, 2, tracked=False)
    for _ in range(2):
        ours.open(ours.backlog.popleft().offset)
    assert (ours.pending, ours.committable, ours.done(1)) == (0, 3, False)


def test_a_partition_is_equal_to_aiokafkas() -> None:
    """SDM-6: lanes are looked up by what aiokafka hands over."""
    from aiokafka import TopicPartition

    assert {Partition("orders", 3): 1}[TopicPartition("orders", 3)] == 1
