"""Texts as librdkafka can hold them: one that is no UTF-8 crashes the process, and a zero ends one too early."""


def held(what: str, text: object) -> str:
    """The text, if the library can hold it; the message names `what`, and never the text, which may be a secret.

    Raises:
        TypeError: it is no str.
        ValueError: it has half of a surrogate pair (bytes that are no UTF-8, by way of a command line), or a zero.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} is {type(text).__name__}: it takes str")
    if "\0" in text:
        raise ValueError(f"{what} has a zero in it, which would end it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} has something in it that is no UTF-8") from None
    return text
