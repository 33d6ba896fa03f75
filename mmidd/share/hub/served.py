"""Files as the Hub serves them: fetched and hashed, several at once; a file once seen whole is not fetched again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from threading import Event

from mmidd.corpus.about import Listed
from mmidd.engine.faults import fault
from mmidd.errors import ShareError
from mmidd.share.hub.client import Hub, Passing, asking, waited
from mmidd.share.hub.repository import DATASET
from mmidd.watch import Watch

AT_ONCE, PIECE, TIMEOUT = 4, 1 << 20, 60.0


def check_served(hub: Hub, commit: str, files: Mapping[str, Listed], notes: Path, watch: Watch) -> int:
    """Fetch every file of a commit and compare it with its listing; gives how many they are. `notes` keeps what was
    seen of this commit, so that a run that was killed goes on. Raises ShareError naming the files whose bytes are others."""
    seen = _read(notes)
    todo = {name: each for name, each in files.items() if (commit, name, each.sha256) not in seen}
    done, wrong, stop = _bytes(files) - _bytes(todo), [], Event()
    watch.begin("check as served", _bytes(files), done, "bytes")
    with ThreadPoolExecutor(AT_ONCE) as pool, notes.open("a", encoding="utf-8") as kept:
        asked = {pool.submit(digest, hub, commit, name, each, stop): name for name, each in todo.items()}
        try:
            for each in as_completed(asked):
                name, listed = asked[each], todo[asked[each]]
                if each.result() != (listed.bytes, listed.sha256):
                    wrong.append(name)
                    continue
                kept.write(json.dumps([commit, name, listed.sha256]) + "\n")
                kept.flush()
                fault("publish_checked", name)
                done += listed.bytes
                watch.at(done, name)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            watch.end()
    if wrong:
        raise ShareError(
            f"the Hub serves other bytes than were sent of {len(wrong)} of {len(files)} files, such as {sorted(wrong)[0]}; "
            f"main was not touched. Run the same command again; if it stays so, tell the Hub, and look at {hub.address}"
        )
    return len(files)


def digest(hub: Hub, commit: str, name: str, listed: Listed, stop: Event | None = None) -> tuple[int, str]:
    """Size and sha256 of a file as it is served; it ends where more comes than is listed."""
    found = hashlib.sha256()

    def take(piece: bytes) -> None:
        if stop is not None and stop.is_set():
            raise ShareError(f"{name} is not read to its end: another file has failed")
        found.update(piece)

    return _streamed(hub, commit, name, listed.bytes, take), found.hexdigest()


def fetched(hub: Hub, commit: str, name: str, most: int) -> bytes:
    """A small file as it is served. Raises ShareError if it has more bytes than `most`."""
    held = bytearray()
    if _streamed(hub, commit, name, most, held.extend) > most:
        raise ShareError(f"{hub.address} has a {name} of more than {most >> 20} MiB: mmidd wrote none like it")
    return bytes(held)


def _streamed(hub: Hub, commit: str, name: str, most: int, take: Callable[[bytes], object]) -> int:
    """Hand on the bytes of a file, going on where a connection broke, and end after more than `most`. Gives their number."""
    at, tries = 0, 0
    while True:
        began = at
        try:
            with asking(f"fetch {name}"):
                for piece in _pieces(hub, commit, name, at):
                    take(piece)
                    at += len(piece)
                    if at > most:
                        break
            return at
        except Passing as error:
            if at == most:
                return at
            tries = 0 if at > began else tries + 1
            waited(hub, f"serve {name} whole", error, tries)


def _pieces(hub: Hub, commit: str, name: str, at: int) -> Iterator[bytes]:
    """The bytes of a file from a place on, by one request."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

    url = hf_hub_url(hub.repo, name, repo_type=DATASET, revision=commit, endpoint=hub.api.endpoint)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={at}-"} if at else {})
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT, follow_redirects=True) as answer:
        if answer.is_error:
            answer.read()
        hf_raise_for_status(answer)
        before = 0 if answer.status_code == 206 else at  # who knows no ranges begins at the beginning
        for piece in answer.iter_bytes(PIECE):
            yield piece[before:]
            before = max(0, before - len(piece))


def _bytes(files: Mapping[str, Listed]) -> int:
    return sum(each.bytes for each in files.values())


def _read(notes: Path) -> set[tuple[str, ...]]:
    """What was noted; a line that was torn is not."""
    found = set()
    with suppress(FileNotFoundError):
        for line in notes.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError):
                found.add(tuple(json.loads(line)))
    return found
