"""AGT-27: OpenTelemetry instruments aiokafka: spans and trace headers as without the agent."""
# packages: aiokafka cramjam opentelemetry-sdk opentelemetry-instrumentation-aiokafka

import asyncio
import sys

from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
early = sys.argv[3] == "early"
if early:
    AIOKafkaInstrumentor().instrument(tracer_provider=provider)

from aiokafka import AIOKafkaProducer  # noqa: E402

if not early:
    AIOKafkaInstrumentor().instrument(tracer_provider=provider)


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        for number in range(3):
            await producer.send_and_wait(sys.argv[2], b"value %d" % number, key=b"key", headers=[("own", b"header")])


asyncio.run(main())
print([(span.name, sorted(span.attributes)) for span in spans.get_finished_spans()])
