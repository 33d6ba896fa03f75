"""Routes about users, repositories, their refs and their history."""

from __future__ import annotations

from typing import Any

from .access import allow, writes
from .git import ATTRIBUTES, MAIN, ApiError, Repo, now
from .routing import Answer, Call, route, told


@route("whoami", "GET", "/api/whoami-v2", "user")
def _whoami(call: Call) -> Answer:
    assert call.who
    orgs = [{"type": "org", "id": name, "name": name, "fullname": name, "roleInOrg": "write"} for name in call.who.orgs]
    token = {"displayName": "token", "role": "write" if call.who.writes else "read", "createdAt": now()}
    return told(
        {"type": "user", "id": call.who.name, "name": call.who.name, "fullname": call.who.name, "email": "", "canPay": False,
         "isPro": False, "periodEnd": None, "orgs": orgs, "auth": {"type": "access_token", "accessToken": token}}
    )  # fmt: skip


@route("create", "POST", "/api/repos/create", "user")
def _create(call: Call) -> Answer:
    asked = call.json()
    namespace = asked.get("organization") or call.name
    name = f"{namespace}/{asked['name']}"
    if asked.get("type") != "dataset":
        raise ApiError(400, "", "this Hub keeps datasets only")
    writes(call.who, namespace)
    url = f"{call.hub.url}/datasets/{name}"
    if name in call.hub.repos:
        raise ApiError(409, "", "You already created this dataset repo", url=url)
    call.hub.create(name, private=asked.get("visibility") == "private" or bool(asked.get("private")))
    return told({"url": url, "name": name, "id": name})


@route("delete", "DELETE", "/api/repos/delete", "user")
def _delete(call: Call) -> Answer:
    asked = call.json()
    name = f"{asked.get('organization') or call.name}/{asked['name']}"
    allow("write", call.who, call.hub.repos.get(name))
    del call.hub.repos[name]
    return told({})


@route("settings", "PUT", "/api/datasets/{repo}/settings", "write")
def _settings(call: Call) -> Answer:
    asked = call.json()
    if "gated" in asked:
        call.repo.gated = asked["gated"]
    if "visibility" in asked or "private" in asked:
        call.repo.private = asked.get("visibility") == "private" or bool(asked.get("private"))
    return told(asked)


def about(repo: Repo, revision: str, *, blobs: bool) -> dict[str, Any]:
    """A repository as the API tells of it."""
    oid, commit = repo.at(revision)
    siblings: list[dict[str, Any]] = []
    for path, blob in sorted(commit.tree.items()):
        siblings.append({"rfilename": path})
        if blobs:
            siblings[-1] |= {"size": blob.size, "blobId": blob.oid}
        if blobs and blob.large:
            siblings[-1]["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}
    return {
        "_id": "0" * 24, "id": repo.id, "author": repo.namespace, "sha": oid, "lastModified": commit.date,
        "createdAt": repo.created, "private": repo.private, "gated": repo.gated, "disabled": False, "downloads": 0,
        "likes": 0, "tags": [], "siblings": siblings, "usedStorage": sum(blob.size for blob in commit.tree.values()),
    }  # fmt: skip


@route("info", "GET", "/api/datasets/{repo}(?:/revision/{rev})?")
def _info(call: Call) -> Answer:
    return told(about(call.repo, call.rev, blobs=call.one("blobs") is not None))


@route("auth-check", "GET", "/api/datasets/{repo}/auth-check", "content")
@route("auth-check", "GET", "/api/datasets/{repo}/auth-check/write", "write")
def _auth_check(call: Call) -> Answer:
    return told({})


@route("grant", "POST", "/api/datasets/{repo}/user-access-request/grant", "write")
def _grant(call: Call) -> Answer:
    call.repo.granted.add(call.json()["user"])
    return told({})


@route("refs", "GET", "/api/datasets/{repo}/refs")
def _refs(call: Call) -> Answer:
    def listed(kind: str) -> list[dict[str, str]]:
        of_kind = {ref: oid for ref, oid in call.repo.refs.items() if ref.startswith(f"refs/{kind}/")}
        return [{"name": ref.split("/", 2)[2], "ref": ref, "targetCommit": oid} for ref, oid in of_kind.items()]

    pulls = {"pullRequests": listed("pr")} if call.one("include_prs") else {}
    return told({"branches": listed("heads"), "converts": [], "tags": listed("tags"), **pulls})


@route("commits", "GET", "/api/datasets/{repo}/commits/{rev}")
def _commits(call: Call) -> Answer:
    oid, _ = call.repo.at(call.rev)
    listed = [
        {
            "id": each,
            "title": commit.title,
            "message": commit.message,
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }
        for each in call.repo.line(oid)
        for commit in [call.repo.commits[each]]
    ]
    return call.page(listed, f"/api/datasets/{call.repo.id}/commits/{call.part['rev']}")


@route("branch-create", "POST", "/api/datasets/{repo}/branch/{name}", "write")
def _branch(call: Call) -> Answer:
    return _point(call, f"refs/heads/{call.part['name']}", call.json().get("startingPoint") or "main")


@route("tag-create", "POST", "/api/datasets/{repo}/tag/{rev}", "write")
def _tag(call: Call) -> Answer:
    return _point(call, f"refs/tags/{call.json()['tag']}", call.rev)


def _point(call: Call, ref: str, revision: str) -> Answer:
    oid, _ = call.repo.at(revision)
    if ref in call.repo.refs:
        raise ApiError(409, "", f"Reference already exists: {ref}")
    call.repo.move(ref, oid)
    return told({"success": True})


@route("branch-delete", "DELETE", "/api/datasets/{repo}/branch/{name}", "write")
def _branch_delete(call: Call) -> Answer:
    return _forget(call, f"refs/heads/{call.part['name']}")


@route("tag-delete", "DELETE", "/api/datasets/{repo}/tag/{name}", "write")
def _tag_delete(call: Call) -> Answer:
    return _forget(call, f"refs/tags/{call.part['name']}")


def _forget(call: Call, ref: str) -> Answer:
    if ref == MAIN:
        raise ApiError(403, "", "The default branch cannot be deleted")
    if ref not in call.repo.refs:
        raise ApiError(404, "RevisionNotFound", f"Reference does not exist: {ref}")
    del call.repo.refs[ref]
    return told({"success": True})


@route("squash", "POST", "/api/datasets/{repo}/super-squash/{rev}", "write")
def _squash(call: Call) -> Answer:
    ref = call.repo.ref(call.rev)
    if ref is None or not ref.startswith("refs/heads/"):
        raise ApiError(404, "RevisionNotFound", f"no such branch: {call.rev}")
    tree = call.repo.commits[call.repo.refs[ref]].tree
    call.repo.commit(ref, tree, call.json()["message"], author=call.name, parents=False)
    return told({})


@route("lfs-files", "GET", "/api/datasets/{repo}/lfs-files")
def _lfs_files(call: Call) -> Answer:
    found: dict[str, dict[str, Any]] = {}
    for ref, head in call.repo.refs.items():
        for oid in call.repo.line(head):
            for path, blob in call.repo.commits[oid].tree.items():
                if blob.large and call.hub.objects.has(blob.sha256):
                    told_of = {"fileOid": blob.sha256, "oid": blob.sha256, "filename": path, "pushedAt": now(), "ref": ref}
                    found.setdefault(blob.sha256, {**told_of, "size": blob.size})
    return call.page(list(found.values()), f"/api/datasets/{call.repo.id}/lfs-files")


@route("lfs-delete", "POST", "/api/datasets/{repo}/lfs-files/batch", "write")
def _lfs_delete(call: Call) -> Answer:
    asked = call.json()["deletions"]
    for sha256 in asked["sha"]:
        call.hub.objects.remove(sha256)
    if asked.get("rewriteHistory"):
        call.repo.without(set(asked["sha"]))
    return told({})


@route("validate-yaml", "POST", "/api/validate-yaml", "none")
def _validate_yaml(call: Call) -> Answer:
    return told({"errors": [], "warnings": []})


def first_commit(hub_objects: Any, repo: Repo) -> None:
    """What every new repository has."""
    repo.commit(MAIN, {".gitattributes": hub_objects.blob(ATTRIBUTES)}, "initial commit", author=repo.namespace)
