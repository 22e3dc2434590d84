"""Side by side: the bare libraries, superclient and its closest peer, in one run; ratios, not absolute times.

Each module is a program (`python -m benchmarks.NAME`, `--quick` for a short run); all of them are `make bench`. What
is measured runs in processes of its own, from `programs/`, in environments with the real wheel installed.
"""
