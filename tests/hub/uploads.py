"""Routes that bring files: preupload, LFS, commit."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

from .access import allow
from .git import LARGE_ENDS, MAIN, MOST_REGULAR, ApiError, Blob
from .routing import Answer, Call, route, told


@route("preupload", "POST", "/api/datasets/{repo}/preupload/{rev}", "write")
def _preupload(call: Call) -> Answer:
    _, commit = call.repo.at(call.rev)
    asked = call.json()["files"]
    if len(asked) > 256:
        raise ApiError(413, "", "too many files")
    told_of = []
    for each in asked:
        large = each["path"].endswith(LARGE_ENDS) or each["size"] > MOST_REGULAR or b"\0" in base64.b64decode(each["sample"])
        about = {"path": each["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        if (blob := commit.tree.get(each["path"])) is not None:
            about["oid"] = blob.sha256 if blob.large else blob.sha1
        told_of.append(about)
    return told({"files": told_of})


@route("lfs-batch", "POST", "/datasets/{repo}.git/info/lfs/objects/batch", "write")
def _batch(call: Call) -> Answer:
    asked = call.json()
    objects = []
    for each in asked["objects"]:
        about: dict[str, Any] = {"oid": each["oid"], "size": each["size"]}
        if not call.hub.objects.has(each["oid"]):
            about |= {"authenticated": True, "actions": _actions(call, each["oid"], each["size"])}
        objects.append(about)
    return told({"transfer": "multipart" if "multipart" in asked.get("transfers", ()) else "basic", "objects": objects})


def _actions(call: Call, oid: str, size: int) -> dict[str, Any]:
    def put(part: int) -> str:
        return call.hub.signed(f"/store/{oid}/{part}")

    verify = {"href": f"{call.hub.url}/datasets/{call.repo.id}.git/info/lfs/objects/verify"}
    if size <= call.hub.lfs_part:
        return {"upload": {"href": put(0)}, "verify": verify}
    header = {str(part + 1): put(part + 1) for part in range(math.ceil(size / call.hub.lfs_part))}
    complete = f"{call.hub.url}/datasets/{call.repo.id}.git/info/lfs/objects/complete"
    return {"upload": {"href": complete, "header": {"chunk_size": str(call.hub.lfs_part), **header}}, "verify": verify}


@route("lfs-put", "PUT", "/store/{name}/{num}", "none")
def _put(call: Call) -> Answer:
    oid, part = call.part["name"], call.part["num"]
    call.hub.check(call, f"/store/{oid}/{part}")
    if part == "0" and hashlib.sha256(call.body).hexdigest() != oid:
        raise ApiError(400, "", "BadDigest: the content is not what was announced")
    if part == "0":
        call.hub.objects.put(call.body)
    else:
        call.hub.parts[oid, int(part)] = call.body
    return Answer(headers={"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})


@route("lfs-complete", "POST", "/datasets/{repo}.git/info/lfs/objects/complete", "none")
def _complete(call: Call) -> Answer:
    asked = call.json()
    parts = [(asked["oid"], part["partNumber"]) for part in asked["parts"]]
    data = b"".join(call.hub.parts.pop(part, b"") for part in parts)
    if hashlib.sha256(data).hexdigest() != asked["oid"]:
        raise ApiError(400, "", "BadDigest: the content is not what was announced")
    call.hub.objects.put(data)
    return told({})


@route("lfs-verify", "POST", "/datasets/{repo}.git/info/lfs/objects/verify", "write")
def _verify(call: Call) -> Answer:
    asked = call.json()
    if not call.hub.objects.has(asked["oid"]) or len(call.hub.objects.read(asked["oid"])) != asked["size"]:
        raise ApiError(404, "", "object was not uploaded")
    return told({})


@route("commit", "POST", "/api/datasets/{repo}/commit/{rev}", "see")
def _commit(call: Call) -> Answer:
    pull = call.one("create_pr") is not None
    if not pull:
        allow("write", call.who, call.repo)
    lines = [json.loads(line) for line in call.body.splitlines() if line]
    header = next(line["value"] for line in lines if line["key"] == "header")
    ref = call.repo.ref(call.rev)
    if ref is None or ref.startswith("refs/tags/"):
        raise ApiError(404, "RevisionNotFound", f"Invalid rev id: {call.rev}")
    _writable(call, ref)
    head = call.repo.refs[ref]
    if header.get("parentCommit") not in (None, head):
        raise ApiError(412, "", "A commit has happened since. Please refresh and try again.")
    tree = dict(call.repo.commits[head].tree)
    for line in lines:
        _apply(call, tree, line["key"], line["value"])
    opened = call.repo.open(header["summary"], call.name, pull=True, status="draft") if pull else None
    target = f"refs/pr/{opened.num}" if opened else ref
    oid = call.repo.commit(target, tree, header["summary"], message=header.get("description", ""), author=call.name)
    address = f"{call.hub.url}/datasets/{call.repo.id}"
    more = {"pullRequestUrl": f"{address}/discussions/{opened.num}"} if opened else {}
    return told({"success": True, "commitOid": oid, "commitUrl": f"{address}/commit/{oid}", "hookOutput": "", **more})


def _writable(call: Call, ref: str) -> None:
    if ref.startswith("refs/pr/"):
        status = call.repo.discussions[int(ref.split("/")[2]) - 1].status
        if status in ("closed", "merged"):
            raise ApiError(403, "", f"the pull request is {status}")


def _apply(call: Call, tree: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
    """One line of a commit; raises ApiError where it cannot be done."""
    if key == "header":
        return
    path = value["path"]
    if path.startswith("/") or not all(part not in ("", ".", "..", ".git") for part in path.rstrip("/").split("/")):
        raise ApiError(400, "", f"Invalid path: {path!r}")
    if key == "file":
        data = base64.b64decode(value["content"])
        if len(data) > MOST_REGULAR or (path.endswith(LARGE_ENDS) and data):
            raise ApiError(400, "", f"Your push was rejected because it contains files that must be LFS: {path}")
        tree[path] = call.hub.objects.blob(data)
    elif key == "lfsFile":
        tree[path] = _large(call, value["oid"], tree.get(path))
    elif key == "copyFile":
        _, source = call.repo.at(value.get("srcRevision") or call.rev)
        tree[path] = source.tree[value["srcPath"]]
    elif key in ("deletedFile", "deletedFolder"):
        gone = list(_under(tree, path.rstrip("/"), folder=key == "deletedFolder"))
        if not gone:
            raise ApiError(404, "EntryNotFound", f"{path} does not exist")
        for each in gone:
            del tree[each]
    else:
        raise ApiError(400, "", f"unknown operation: {key}")


def _under(tree: dict[str, Blob], path: str, *, folder: bool) -> Iterator[str]:
    return (each for each in tree if (each.startswith(f"{path}/") if folder else each == path))


def _large(call: Call, sha256: str, there: Blob | None) -> Blob:
    hub = call.hub
    if there is not None and there.sha256 == sha256:
        return there
    xet = hub.xet.by_sha256.get(sha256)
    if xet is not None and not hub.objects.has(sha256):
        hub.objects.put(hub.xet.read(xet))
    if not hub.objects.has(sha256):
        raise ApiError(400, "", f"LFS pointer pointed to a file that does not exist: {sha256}")
    return hub.objects.blob(hub.objects.read(sha256), large=True, xet=xet)


def write(call_hub: Any, repo: Any, files: dict[str, bytes | None], ref: str = MAIN) -> str:
    """A commit of somebody else, past every route; None removes a file."""
    tree = dict(repo.commits[repo.refs[ref]].tree)
    for path, data in files.items():
        if data is None:
            tree.pop(path, None)
        else:
            tree[path] = call_hub.objects.blob(data, large=path.endswith(LARGE_ENDS))
    oid: str = repo.commit(ref, tree, "somebody else", author="somebody")
    return oid
