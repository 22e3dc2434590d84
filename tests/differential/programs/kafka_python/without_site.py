"""AGT-2: python -S, where only `import superclient` loads the agent."""
# options: -S

import os
import sys

home = os.path.dirname(os.path.dirname(sys.executable))
sys.path.append(os.path.join(home, "lib", "python%d.%d" % sys.version_info[:2], "site-packages"))

import superclient  # noqa: E402
from kafka import KafkaProducer  # noqa: E402

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
print(superclient.__name__)
