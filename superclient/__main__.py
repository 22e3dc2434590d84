"""`python -m superclient` is the `superclient` command."""

from superclient.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
