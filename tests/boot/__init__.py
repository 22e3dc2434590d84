"""Loading: what happens between `pip install superclient` and the first patched module, in real interpreters."""
