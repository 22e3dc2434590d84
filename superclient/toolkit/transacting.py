"""A transaction as a `with` block: committed at its end, aborted by whatever is raised in it; the two faces of it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from superclient.errors import ToolkitError
from superclient.toolkit.results import TransactionResult
from superclient.toolkit.transaction import may_go_on

if TYPE_CHECKING:
    from superclient.toolkit.producer import KafkaProducer


class Transaction:
    """What `with producer.transaction() as transaction` gives: its transactional `id`, and the `result` of its last
    step ("begin" inside the block, "commit" or "abort" after it)."""

    __slots__ = ("id", "result")

    def __init__(self, result: TransactionResult) -> None:
        self.id, self.result = result.transaction_id, result


@contextmanager
def transaction(producer: "KafkaProducer") -> Iterator[Transaction]:
    """See KafkaProducer.transaction."""
    others = producer.in_transaction  # then `begin` says so, and it is left alone
    handle = None
    try:
        handle = Transaction(_successful(producer.begin()))
        yield handle
    except BaseException as error:
        if producer.in_transaction and not others and (handle or not isinstance(error, ToolkitError)):
            result = producer.abort()
            if handle is not None:
                handle.result = result
        raise
    if producer.in_transaction:  # else the block has ended it
        handle.result = _commit(producer)
        if _is_over(handle.result):
            producer.abort()
        _successful(handle.result)


@asynccontextmanager
async def atransaction(producer: "KafkaProducer") -> AsyncIterator[Transaction]:
    """See KafkaProducer.atransaction."""
    others = producer.in_transaction
    handle = None
    try:
        handle = Transaction(_successful(await producer.abegin()))
        yield handle
    except BaseException as error:
        if producer.in_transaction and not others and (handle or not isinstance(error, ToolkitError)):
            result = await producer.aabort()
            if handle is not None:
                handle.result = result
        raise
    if producer.in_transaction:
        handle.result = await producer.acommit()
        if _is_over(handle.result):
            await producer.aabort()
        _successful(handle.result)


def _commit(producer: "KafkaProducer") -> TransactionResult:
    try:
        return producer.commit()
    except BaseException:
        # Ctrl-C: a commit that was begun cannot be taken back, so it is seen through; another Ctrl-C interrupts this.
        if producer.in_transaction:
            producer.commit()
        raise


def _is_over(commit: TransactionResult) -> bool:
    """Whether it has failed for good; where the brokers did not answer in time, only `commit` can go on."""
    return commit.error is not None and not may_go_on(commit.error)


def _successful(result: TransactionResult) -> TransactionResult:
    error: ToolkitError | None = result.error
    if error is not None:
        raise error
    return result
