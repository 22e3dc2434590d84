"""The agent for a checkout on PYTHONPATH: does what superclient/_site/sitecustomize.py does, from here."""

with open(__file__.replace("sitecustomize.py", "superclient/_site/sitecustomize.py")) as _entry:
    exec(_entry.read())
