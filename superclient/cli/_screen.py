"""A rich console on stdout that leaves a reader who has had enough to `superclient.cli.main`, as print does."""

from rich.console import Console


class Screen(Console):
    """rich's own would end the process, with status 1."""

    def on_broken_pipe(self) -> None:
        """Called while it is handled."""
        raise  # noqa: PLE0704  # what is being handled
