"""`python -m benchmarks` runs all of them."""

import sys

from benchmarks.all import main

sys.exit(main())
