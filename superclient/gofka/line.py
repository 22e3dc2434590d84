"""One topic's connection to the broker that leads. There are never two of one topic: offsets would be given twice."""

from superclient.gofka.cluster import Cluster
from superclient.gofka.connection import Connection


class Line:
    """Opened by `open`, and again where it broke, or leads to a broker that does not lead.

    Attributes:
        connection: None before, and in between.
        proven: it has stored something, and nothing has failed since.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.connection: Connection | None = None
        self.proven = False
        self._cluster = cluster
        self._refusals = 0  # brokers that said, one after the other, that they do not lead

    @property
    def is_open(self) -> bool:
        """Whether requests may be sent over it."""
        return self.connection is not None and self.connection.is_open

    def stored(self, proven: bool) -> None:
        """The broker has stored something, so it leads; `proven`: nothing has failed since."""
        if self.connection is not None and self.connection.is_open:
            self._cluster.leads(self.connection)
            self.proven, self._refusals = proven, 0

    async def refused(self) -> bool:
        """The broker said that it does not lead: close it. Returns whether another one of the list may, untried."""
        if self.connection is None:
            return False
        self._refusals += 1
        self._cluster.not_leader(self.connection)
        await self.close()
        return self._refusals % len(self._cluster.brokers) > 0

    def useless(self) -> None:
        """The connection broke, or fell silent, and has stored nothing: another broker may lead by now."""
        if self.connection is not None and not self.connection.is_open:
            self._cluster.not_leader(self.connection)

    async def open(self) -> None:
        """Have a connection, the old one being closed before. Raises ConnectionError where no broker can be reached."""
        if not self.is_open:
            await self.close()
            self.proven = False
            self.connection = await self._cluster.open_leader()

    async def close(self) -> None:
        """Wait until its socket is closed; what is under way fails."""
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.aclose()
