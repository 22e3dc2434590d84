"""What every test gets: the servers, the environments, and a test process in which the agent never runs."""

import os
import signal
import sys

# Before anything is imported: an agent in the test process would change the very clients that the tests measure with.
# Where the project is installed it is there already, since interpreter start. Programs under test run in subprocesses,
# whose environment `tests.environments.run_program` makes clean.
os.environ["SUPERSTREAM_DISABLED"] = "true"
sys.meta_path[:] = [finder for finder in sys.meta_path if not getattr(type(finder), "superclient", False)]

# A shell starts what it puts in the background with SIGINT ignored, which programs under test would inherit: none of
# them could be interrupted.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.servers.fixtures", "tests.servers.redis"]
