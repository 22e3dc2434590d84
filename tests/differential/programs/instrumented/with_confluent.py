"""AGT-27: OpenTelemetry instruments confluent-kafka: spans and trace headers as without the agent."""
# packages: confluent-kafka opentelemetry-sdk opentelemetry-instrumentation-confluent-kafka

import sys

from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
early = sys.argv[3] == "early"
if early:
    ConfluentKafkaInstrumentor().instrument(tracer_provider=provider)

import confluent_kafka  # noqa: E402

if not early:
    ConfluentKafkaInstrumentor().instrument(tracer_provider=provider)
producer = confluent_kafka.Producer({"bootstrap.servers": sys.argv[1]})
wrapped = ConfluentKafkaInstrumentor.instrument_producer(confluent_kafka.Producer({"bootstrap.servers": sys.argv[1]}))
for each in (producer, wrapped):
    each.produce(sys.argv[2], value=b"value", key=b"key", headers=[("own", b"header")])
    print(each.flush(10), isinstance(each, confluent_kafka.Producer), type(each).__name__)
print([(span.name, sorted(span.attributes)) for span in spans.get_finished_spans()])
