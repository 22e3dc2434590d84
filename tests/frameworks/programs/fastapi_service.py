"""FastAPI with a producer in its lifespan, served by uvicorn, is called a hundred times over HTTP."""

import socket
import sys
import threading
import urllib.request
from contextlib import asynccontextmanager

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI

servers, topic = sys.argv[1:3]


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with AIOKafkaProducer(bootstrap_servers=servers, client_id="fastapi_service") as app.state.producer:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{number}")
async def order(number: int) -> dict[str, int]:
    sent = await app.state.producer.send_and_wait(
        topic, b"%d " % number + b"order " * 50, key=b"customer %d" % (number % 5), headers=[("number", b"%d" % number)]
    )
    return {"offset": sent.offset}


def call() -> None:
    for number in range(100):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/orders/{number}", method="POST")
        with urllib.request.urlopen(request) as answer:
            print(answer.status, answer.read().decode())
    print("ready", flush=True)
    sys.stdin.readline()
    server.should_exit = True


listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]
server = uvicorn.Server(uvicorn.Config(app, access_log=False))
threading.Thread(target=call).start()
server.run(sockets=[listening])
