"""What every test gets: the servers, the environments, and a test process in which the agent never runs."""

import os

# Before anything is imported: an agent in the test process would change the very clients that the tests measure with.
# Programs under test run in subprocesses, whose environment `tests.environments.run_program` makes clean.
os.environ["SUPERSTREAM_DISABLED"] = "true"

pytest_plugins = ["tests.servers.fixtures"]
