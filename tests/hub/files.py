"""Routes that list and serve files: tree, paths-info, resolve, and the store of large files that it leads to."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import parse_qs, quote

from .git import ApiError, Blob, Commit
from .routing import Answer, Call, route, told


def _file(call: Call, path: str, blob: Blob, commit: tuple[str, Commit] | None) -> dict[str, Any]:
    about: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    if blob.large:
        about["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}
    if blob.xet and call.hub.xet_downloads:
        about["xetHash"] = blob.xet
    return about | _expanded(commit)


def _folder(path: str, commit: tuple[str, Commit] | None) -> dict[str, Any]:
    about = {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}
    return about | _expanded(commit)


def _expanded(commit: tuple[str, Commit] | None) -> dict[str, Any]:
    if commit is None:
        return {}
    return {"lastCommit": {"id": commit[0], "title": commit[1].title, "date": commit[1].date}}


def _folders(commit: Commit) -> set[str]:
    return {path[: at.start()] for path in commit.tree for at in re.finditer("/", path)}


def _wanted(call: Call, given: str | None) -> bool:
    return given is not None and given.lower() not in ("false", "0", "")


@route("tree", "GET", "/api/datasets/{repo}/tree/{rev}(?:/{path})?")
def _tree(call: Call) -> Answer:
    oid, commit = call.repo.at(call.rev)
    under = f"{call.part['path'].strip('/')}/" if "path" in call.part else ""
    if under and under[:-1] not in _folders(commit):
        raise ApiError(404, "EntryNotFound", f"{under[:-1]} does not exist on {call.rev!r}")
    expand = (oid, commit) if _wanted(call, call.one("expand")) else None
    recursive = _wanted(call, call.one("recursive"))

    def here(path: str) -> bool:
        return path.startswith(under) and (recursive or "/" not in path[len(under) :])

    listed = [_folder(path, expand) for path in sorted(_folders(commit)) if here(path) and path != under[:-1]]
    listed += [_file(call, path, blob, expand) for path, blob in sorted(commit.tree.items()) if here(path)]
    part = "/" + quote(call.part["path"], safe="") if "path" in call.part else ""
    return call.page(listed, f"/api/datasets/{call.repo.id}/tree/{quote(call.rev, safe='')}{part}")


@route("paths", "POST", "/api/datasets/{repo}/paths-info/{rev}")
def _paths(call: Call) -> Answer:
    oid, commit = call.repo.at(call.rev)
    if call.headers.get("Content-Type", "").startswith("application/json"):
        asked, expand = call.json()["paths"], bool(call.json().get("expand"))
    else:
        form = parse_qs(call.body.decode())
        asked, expand = form.get("paths", []), form.get("expand", ["false"])[0].lower() == "true"
    more = (oid, commit) if expand else None
    paths = [path.strip("/") for path in asked]
    listed = [_file(call, path, commit.tree[path], more) for path in paths if path in commit.tree]
    folders = _folders(commit)
    return told(listed + [_folder(path, more) for path in paths if path in folders])


@route("resolve", "HEAD", "/datasets/{repo}/resolve/{rev}/{path}", "content")
@route("resolve", "GET", "/datasets/{repo}/resolve/{rev}/{path}", "content")
def _resolve(call: Call) -> Answer:
    oid, commit = call.repo.at(call.rev)
    path = call.part["path"]
    blob = commit.tree.get(path)
    if blob is None:
        raise ApiError(404, "EntryNotFound", "Entry not found", headers={"X-Repo-Commit": oid})
    headers = {"X-Repo-Commit": oid, "Accept-Ranges": "bytes", "ETag": f'"{blob.oid}"'}
    headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(path.rsplit('/', 1)[-1])}"
    if not blob.large:
        return ranged(call, call.hub.objects.read(blob.sha256), headers)
    headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
    if blob.xet and call.hub.xet_downloads:
        headers["X-Xet-Hash"] = blob.xet
        headers["Link"] = f'<{call.hub.url}/api/datasets/{call.repo.id}/xet-read-token/{oid}>; rel="xet-auth"'
    headers["Location"] = call.hub.signed(f"/store/{blob.sha256}")
    return Answer(f"Found. Redirecting to {headers['Location']}".encode(), 302, headers)


@route("xorb", "GET", "/xorbs/{name}", "none")
def _xorb(call: Call) -> Answer:
    """Of Xet's store."""
    call.hub.check(call, f"/xorbs/{call.part['name']}")
    return ranged(call, (call.hub.xet.root / call.part["name"]).read_bytes(), {})


@route("store", "HEAD", "/store/{name}", "none")
@route("store", "GET", "/store/{name}", "none")
def _store(call: Call) -> Answer:
    """Another host, in the Hub's words a CDN: who has the signed address may read, and a token has no business there."""
    sha256 = call.part["name"]
    call.hub.check(call, f"/store/{sha256}")
    if not call.hub.objects.has(sha256):
        raise ApiError(404, "", "no such object")
    return ranged(call, call.hub.objects.read(sha256), {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"})


def ranged(call: Call, data: bytes, headers: dict[str, str]) -> Answer:
    """The bytes that `Range` asks for, or all."""
    headers = {"Content-Type": "application/octet-stream", **headers}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("Range", ""))
    if not asked or asked[0] == "bytes=-":
        return Answer(data, 200, headers)
    if not asked[1]:
        start, end = max(0, len(data) - int(asked[2])), len(data)
    else:
        start, end = int(asked[1]), min(len(data), int(asked[2]) + 1 if asked[2] else len(data))
    if start >= end:
        return Answer(b"", 416, {**headers, "Content-Range": f"bytes */{len(data)}"})
    return Answer(data[start:end], 206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})
