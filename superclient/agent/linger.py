"""A linger that buys nothing: it keeps expiring on nearly empty batches (AGT-34). Pure.

Where waiting cannot be seen (confluent-kafka), an added linger may hold up somebody who waits for each record before
sending the next. The batches tell: they leave with hardly more than one record, again and again. Such a linger saves
no request, whoever waits, so it is given back, at the producer's next handle or construction.
"""

from superclient.agent.model import Counters

NEARLY_EMPTY = 1.5  # records a batch
MIN_BATCHES = 100  # of a window
STRIKES = 3  # windows in a row


class Watch:
    """One producer's batches, window by window, while an added linger holds."""

    def __init__(self) -> None:
        self._records = self._batches = self._strikes = 0

    def look(self, counters: Counters) -> str:
        """Why the linger buys nothing, in a phrase; "" while there is no reason to say so."""
        topics = list(counters.topics.values())
        records, batches = sum(one.records for one in topics), sum(one.batches for one in topics)
        sent = batches - self._batches
        if sent < MIN_BATCHES:
            return ""
        fill = (records - self._records) / sent
        self._records, self._batches = records, batches
        self._strikes = self._strikes + 1 if fill < NEARLY_EMPTY else 0
        if self._strikes < STRIKES:
            return ""
        self._strikes = 0
        return f"the linger kept expiring on batches of {fill:.1f} records"
