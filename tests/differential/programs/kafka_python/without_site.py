"""AGT-2: python -S, where only `import superclient` loads the agent."""
# options: -S

import os
import sys

home = os.path.dirname(os.path.dirname(sys.executable))
sys.path.append(os.path.join(home, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages"))

import superclient  # noqa: E402, I001  the agent first, as nothing else loads it
from kafka import KafkaProducer  # noqa: E402

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
print(superclient.__name__)
