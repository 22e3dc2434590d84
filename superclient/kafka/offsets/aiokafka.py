"""Connections through aiokafka (0.10 to 0.14), on an event loop that runs only while there is a reading.

The connections alone: aiokafka's client asks for the metadata of all topics whenever one of its connections breaks.
"""

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from superclient.errors import Unreachable
from superclient.kafka import aiokafka as face
from superclient.kafka._bounded import Deadline, translate
from superclient.kafka._loop import Loop
from superclient.kafka.connection import Connection
from superclient.kafka.offsets.exchange import Answers, Ask, Conversation
from superclient.kafka.offsets.lasting import addresses, lasting
from superclient.kafka.offsets.protocol import Address, Question
from superclient.kafka.offsets.reader import Reader
from superclient.kafka.silence import quiet

_STOP_SECONDS = 0.2


def offsets_reader(connection: Connection) -> Reader:
    """See OffsetsReader."""
    return Reader(lambda deadline: Conversation(addresses(connection), _Transport(connection, deadline)))


class _Transport:
    """See exchange.Transport."""

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        from aiokafka.conn import create_conn

        settings = {**lasting(connection), **face._common(deadline), "version_hint": (0, 10)}
        settings.pop("api_version", None)
        if settings.get("sasl_oauth_token_provider") is not None:
            settings["sasl_oauth_token_provider"] = face._provider(connection)
        known = inspect.signature(create_conn).parameters
        self._settings = {name: value for name, value in settings.items() if name in known}
        self._connect = create_conn
        self._open: dict[Address, Any] = {}
        quiet("asyncio")  # a new loop tells which selector it uses
        self._loop = Loop()

    def send(self, asks: Sequence[Ask], seconds: float) -> Answers:
        """See exchange.Transport."""
        quiet("aiokafka")
        quiet("asyncio")
        return self._loop.run_until_complete(self._send(asks, seconds))

    def close(self) -> None:
        """See exchange.Transport."""
        try:
            self._loop.run_until_complete(self._stop())
        finally:
            self._loop.close()

    async def _send(self, asks: Sequence[Ask], seconds: float) -> Answers:
        questions: dict[Address, list[Question]] = defaultdict(list)
        for ask in asks:
            questions[ask.address].append(ask.question)
        talks = {address: asyncio.ensure_future(self._talk(address, each)) for address, each in questions.items()}
        await asyncio.wait(talks.values(), timeout=seconds)
        answers = {}
        for address, talk in talks.items():
            late = not talk.done() and talk.cancel()
            answers[address] = iter([Unreachable("no answer in time")] * len(asks) if late else talk.result())
        return [next(answers[ask.address]) for ask in asks]

    async def _talk(self, address: Address, questions: Sequence[Question]) -> Answers:
        """One broker's answers."""
        try:
            connection = self._open.get(address)
            if connection is not None and not connection.connected():
                self._open.pop(address).close()  # the broker's end of it is closed, ours perhaps not yet
                connection = None
            if connection is None:
                connection = self._open[address] = await self._connect(*address, **self._settings)
            sent = [connection.send(question.request()) for question in questions]
        except BaseException as error:
            self._loop.abort(asyncio.current_task())  # aiokafka loses sight of a connection that it did not finish
            if not isinstance(error, Exception):
                raise
            return [translate(error)] * len(questions)
        answers = await asyncio.gather(*sent, return_exceptions=True)
        return [
            translate(answer) if isinstance(answer, BaseException) else question.result(answer)
            for question, answer in zip(questions, answers, strict=True)
        ]

    async def _stop(self) -> None:
        closed = [future for each in self._open.values() if (future := each.close()) is not None]
        if closed:
            await asyncio.wait(closed, timeout=_STOP_SECONDS)
        await self._loop.clear()
