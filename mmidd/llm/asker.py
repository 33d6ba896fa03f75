"""The asynchronous client for callers that are not: its event loop runs in a thread, and any thread may ask."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Protocol

from mmidd.llm.answer import Answer
from mmidd.llm.client import Chat, Refused


class Client(Protocol):
    """What is asked."""

    async def ask(self, chat: Chat) -> Answer | Refused: ...

    async def close(self) -> None: ...


class Asker:
    """Owns a client and its event loop. The thread dies with the process, so that an interrupt never waits for a server."""

    def __init__(self, make: Callable[[], Client]) -> None:
        """`make` is called in the event loop's thread; what it raises is raised here."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mmidd-llm", daemon=True)
        self._thread.start()
        self._lock, self._closed = threading.Lock(), False
        try:
            self._client = asyncio.run_coroutine_threadsafe(_made(make), self._loop).result()
        except BaseException:
            self._stop()
            raise

    def ask(self, chats: Sequence[Chat], landed: Callable[[int, Answer], None]) -> list[Answer | Refused]:
        """The answers in the order of the requests; `landed` hears of each as soon as it is there, in the loop's thread.

        Raises ServerDown where the server cannot be used; what was answered before has landed. CancelledError where the
        asker is closed meanwhile.
        """
        with self._lock:
            if self._closed:
                raise CancelledError
            asked = asyncio.run_coroutine_threadsafe(self._ask(chats, landed), self._loop)
        return asked.result()

    def close(self) -> None:
        """Give up what is under way, close the client, and end the thread. Once is enough; more does no harm."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._stop()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _ask(self, chats: Sequence[Chat], landed: Callable[[int, Answer], None]) -> list[Answer | Refused]:
        async def one(place: int, chat: Chat) -> Answer | Refused:
            answer = await self._client.ask(chat)
            if isinstance(answer, Answer):
                landed(place, answer)
            return answer

        return list(await asyncio.gather(*(one(place, chat) for place, chat in enumerate(chats))))


async def _made(make: Callable[[], Client]) -> Client:
    return make()
