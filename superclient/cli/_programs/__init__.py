"""The demo's sample programs, one for each library: plain producers that know nothing of superclient.

Each is run as a script with bootstrap servers, topic, number of records and number of awaited sends as its arguments,
twice and unchanged, and prints how long each awaited send took, as JSON. `shop` makes the events, the same ones for
everybody.
"""
