"""How a request can end on the broker, reply apart."""


class Refused(Exception):
    """The broker answers with this text in an error body."""


class Closed(Exception):
    """The broker closes the connection without a word."""


class Crashed(Exception):
    """The broker process ends: a request that no client may send."""
