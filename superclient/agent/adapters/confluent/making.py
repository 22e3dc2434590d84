"""The settings of one handle: the program's own, what the plan changes, and callbacks that can fall silent."""

from collections.abc import Callable, Mapping
from typing import Any

from superclient.agent.adapters.confluent import conf
from superclient.agent.adapters.confluent.counters import INTERVAL_MS, Emissions

_VOICES = ("error_cb", "throttle_cb", "oauth_cb")


class Making:
    """One handle's settings.

    Attributes:
        own: the program's settings, as merged from its arguments; never changed.
        changes: the plan's, canonical.
        settings: what the constructor gets.
        emissions: what its statistics callback keeps, None where it has none of ours.
        callback: that callback, by which the handle is recognised; `marked` has one in any case.
        retired: the producer has left this handle, whose events reach nobody any more.
        mute: that is so for every one of them, and its queue may be served by anybody.
    """

    def __init__(
        self,
        own: Mapping[str, Any],
        changes: Mapping[str, int | str],
        *,
        exchangeable: bool,
        statistics: bool,
        marked: bool = False,
    ) -> None:
        self.own = own
        self.changes = changes
        self.retired = False
        self.settings = conf.changed(own, changes)
        self.callback: object = None
        self.emissions = self._tapped() or (self._injected() if exchangeable and statistics else None)
        if marked and self.callback is None:
            self._mark()
        self.mute = own.get("oauth_cb") is None and own.get("logger") is None
        voices = {name: self._voice(name, own[name]) for name in _VOICES if exchangeable and callable(own.get(name))}
        self.settings.update(voices)
        self._touched = bool(changes or voices or self.callback)

    @property
    def touched(self) -> bool:
        """Whether the constructor gets anything else than what the program wrote."""
        return self._touched

    def _tapped(self) -> Emissions | None:
        """Listen to statistics that the program asked for; its callback has them as before."""
        every = conf.interval(self.own)
        theirs = self.own.get(conf.STATS_CB)
        if not every or every < 0 or (conf.STATS_CB in self.own and not callable(theirs)):
            return None
        return self._listening(Emissions(every, ours=False), theirs)

    def _injected(self) -> Emissions | None:
        """Ask for statistics where the program did not. A callback of its own without an interval is never called."""
        if conf.interval(self.own) != 0 or (conf.STATS_CB in self.own and not callable(self.own[conf.STATS_CB])):
            return None
        self.settings = conf.without(self.settings, conf.INTERVAL)
        self.settings[conf.INTERVAL] = INTERVAL_MS
        return self._listening(Emissions(INTERVAL_MS, ours=True), None)

    def _mark(self) -> None:
        """Have a statistics callback to be known by: without an interval, none is ever called."""
        theirs = self.own.get(conf.STATS_CB, _nothing)
        if callable(theirs):
            self.callback = self.settings[conf.STATS_CB] = theirs

    def _listening(self, emissions: Emissions, theirs: Callable[[str], Any] | None) -> Emissions:
        def listen(text: str) -> Any:
            emissions.keep(text)
            return theirs(text) if theirs is not None and not self.retired else None

        self.callback = self.settings[conf.STATS_CB] = listen
        return emissions

    def _voice(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        def voice(*args: Any) -> Any:
            if not self.retired:
                return callback(*args)
            if name == "oauth_cb":
                raise RuntimeError("this handle is not in use any more")
            return None

        return voice


def _nothing(text: str) -> None:
    pass
