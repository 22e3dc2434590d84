"""TST-5: a program's tests replace the class by a mock."""
# agent: line

from unittest import mock

import confluent_kafka

with mock.patch("confluent_kafka.Producer") as fake:
    confluent_kafka.Producer({"bootstrap.servers": "nowhere"}).produce("topic", b"value")
    print(fake.mock_calls)
print(mock.create_autospec(confluent_kafka.Producer, instance=True).flush())
