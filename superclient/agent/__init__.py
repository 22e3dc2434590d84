"""The agent: what happens inside an unchanged program, from its first producer to its exit.

Lives here: the story of a producer (`pipeline`), the decisions (`optimizer`), what is known of each cluster
(`metadata`), who is watched (`tracker`), the one thread (`heartbeat`) with what it does (`rounds`) and says
(`reporter`), the end (`leaving`), and the `adapters` that touch the libraries. Not here: loading
(`superclient._boot`), small reads and writes of Kafka (`superclient.kafka`), the records' format
(`superclient.contract`). Nothing outside imports from here.
"""
