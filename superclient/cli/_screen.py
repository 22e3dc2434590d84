"""A rich console on stdout: wide enough for a table's figures, and a reader who has had enough is for our `main`."""

from rich.console import Console

_NARROWEST = 80  # columns: below that rich leaves figures out; a terminal that is narrower breaks the lines


class Screen(Console):
    """As rich's own, which would end the process on a broken pipe, with status 1."""

    def on_broken_pipe(self) -> None:
        """Called while it is handled."""
        raise  # noqa: PLE0704  # what is being handled

    def widen(self) -> None:
        """For what is printed once: what is drawn anew must know how many lines it has."""
        self.width = max(self.width, _NARROWEST)
