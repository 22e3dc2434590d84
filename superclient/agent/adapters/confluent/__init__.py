"""confluent-kafka: `cimpl.Producer` replaced by a subclass whose `produce` stays the C one.

Lives here: `patch` (the hook and the translation), `classes` (the subclasses), `conf` (the forms of a configuration),
`making` (what one handle is built with), `native` (what librdkafka itself says), `counters` (its statistics) and
`handles` (how a producer gets another one).
"""

from superclient.agent.adapters.confluent.patch import patch

__all__ = ["patch"]
