"""What differs between the libraries, and nothing else: hooks, translation, counting, live settings.

One package per library with the same three rooms: `patch` (hooks and translation), `counters` (what its batches say),
`retune` (live settings). No policy: what to change is decided in `agent.optimizer`, when in `agent.pipeline` and
`agent.rounds`.
"""
