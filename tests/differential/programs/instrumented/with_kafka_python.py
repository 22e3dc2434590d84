"""AGT-27: OpenTelemetry instruments kafka-python: spans and trace headers as without the agent."""
# packages: kafka-python zstandard opentelemetry-sdk opentelemetry-instrumentation-kafka-python

import sys

from opentelemetry.instrumentation.kafka import KafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
early = sys.argv[3] == "early"
if early:
    KafkaInstrumentor().instrument(tracer_provider=provider)

from kafka import KafkaProducer  # noqa: E402

if not early:
    KafkaInstrumentor().instrument(tracer_provider=provider)
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
headers = []
for number in range(3):
    producer.send(sys.argv[2], b"value %d" % number, key=b"key", headers=[("own", b"header")]).get(10)
producer.close()
print([(span.name, sorted(span.attributes)) for span in spans.get_finished_spans()])
