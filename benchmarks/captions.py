"""What asking a server costs on this side: the client alone, and the whole captioner, against a stub on loopback.

Run as `python -m benchmarks.captions [REQUESTS]`. This process and the stub are pinned to a core each where there are two.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mmidd.captions.choose import CaptionerConfig, make_captioner
from mmidd.captions.protocol import CaptionRequest
from mmidd.captions.served import SERVED_BATCH, data_uri
from mmidd.captions.vision import caption_schema
from mmidd.llm.backoff import Patience
from mmidd.llm.client import Chat, ChatClient

AT_ONCE = 64
_SAYS = json.dumps({"face": "The face is evenly lit from the front.", "environment": "A plain grey backdrop, out of focus."})
_BODY = json.dumps({
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": _SAYS}}],
    "usage": {"prompt_tokens": 300, "completion_tokens": 40},
}).encode()  # fmt: skip
_REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY) + _BODY


async def _serve() -> None:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                writer.write(_REPLY)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def scenes(count: int) -> list[CaptionRequest]:
    """Requests with a crop and a frame of usual sizes that compress as photographs do, each of its own."""
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(60, 200, (42, 42, 3)), np.ones((8, 8, 1))) + rng.normal(0, 6, (336, 336, 3))
    frame = smooth.clip(0, 255).astype(np.uint8)
    found = []
    for number in range(count):
        crop = frame[:256, :256].copy()
        crop[0, 0] = number % 256, number // 256 % 256, number // 65536
        found.append(CaptionRequest(crop, frame, None, np.array([0, 0, 256, 256], np.float32), (336, 336)))
    return found


async def client_alone(url: str, count: int) -> None:
    """The client with bodies that are ready."""
    client = ChatClient(url, "stub", Patience(concurrency=AT_ONCE))
    crop = scenes(1)[0].crop
    uris = [data_uri(crop), data_uri(np.ascontiguousarray(crop[::-1]))]
    images = [{"type": "image_url", "image_url": {"url": uri}} for uri in uris]
    chat = Chat(
        ({"role": "user", "content": [*images, {"type": "text", "text": "x" * 1000}]},), 200, schema=caption_schema()
    )
    await asyncio.gather(*(client.ask(chat) for _ in range(AT_ONCE)))
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client.ask(chat) for _ in range(count)))
    told(f"client alone ({sum(map(len, uris)) // 1000} kB of images a request)", count, wall, cpu)
    await client.close()


def whole(url: str, requests: list[CaptionRequest], folder: Path) -> None:
    """Digest, JPEG, HTTP, journal, parse and lint, from as many threads as the stage uses."""
    captioner = make_captioner(CaptionerConfig("openai", model="stub", base_url=url, concurrency=AT_ONCE, journal=folder))
    if captioner is None:
        raise AssertionError("no captioner")
    captioner.caption(requests[:1])
    chunks = [requests[at : at + SERVED_BATCH] for at in range(1, len(requests), SERVED_BATCH)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wall, cpu = time.perf_counter(), time.process_time()
        statuses = {caption.status for captions in pool.map(captioner.caption, chunks) for caption in captions}
    told(f"whole captioner ({', '.join(statuses)})", len(requests) - 1, wall, cpu)
    captioner.close()


def told(what: str, count: int, wall: float, cpu: float) -> None:
    """Print a rate with the count beside it."""
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what}: {count} requests, {count / wall:.0f}/s, {1000 * cpu / count:.2f} ms of CPU a request")


def main() -> None:
    """Start the stub, measure, end it."""
    cores = sorted(os.sched_getaffinity(0))
    stub = subprocess.Popen([sys.executable, "-m", "benchmarks.captions", "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        if len(cores) > 1:
            os.sched_setaffinity(stub.pid, cores[-1:])
            os.sched_setaffinity(0, cores[:1])
        url = f"http://127.0.0.1:{stub.stdout.readline().strip() if stub.stdout else ''}/v1"
        requests = scenes(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
        asyncio.run(client_alone(url, len(requests)))
        with tempfile.TemporaryDirectory() as folder:
            whole(url, requests, Path(folder))
    finally:
        stub.kill()
        stub.wait()


if __name__ == "__main__":
    asyncio.run(_serve()) if sys.argv[1:] == ["--serve"] else main()
