"""Routes of discussions and pull requests."""

from __future__ import annotations

from typing import Any

from .access import allow
from .git import MAIN, ApiError, Discussion, now
from .routing import Answer, Call, route, told


def _about(call: Call, each: Discussion) -> dict[str, Any]:
    return {
        "num": each.num, "title": each.title, "author": {"name": each.author}, "createdAt": each.created,
        "status": each.status, "isPullRequest": each.pull, "repo": {"name": call.repo.id, "type": "dataset"},
    }  # fmt: skip


def _event(call: Call, each: Discussion, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    event = {"id": f"{len(each.events):024x}", "type": kind, "createdAt": now(), "author": {"name": call.name}, "data": data}
    each.events.append(event)
    return event


def _of(call: Call) -> Discussion:
    number = int(call.part["num"])
    if not 0 < number <= len(call.repo.discussions):
        raise ApiError(404, "", "Discussion not found")
    return call.repo.discussions[number - 1]


@route("discussions", "GET", "/api/datasets/{repo}/discussions")
def _list(call: Call) -> Answer:
    kind, status, author = call.one("type"), call.one("status"), call.one("author")
    open_ones = {"open": ("open", "draft"), "closed": ("closed", "merged")}
    found = [
        each
        for each in reversed(call.repo.discussions)
        if (kind in (None, "all") or each.pull == (kind == "pull_request"))
        and (status in (None, "all") or each.status in open_ones[status or ""])
        and author in (None, each.author)
    ]
    start = int(call.one("p") or 0) * call.hub.page
    shown = [_about(call, each) for each in found[start : start + call.hub.page]]
    return told({"discussions": shown, "count": len(found), "start": start})


@route("discussion-create", "POST", "/api/datasets/{repo}/discussions")
def _create(call: Call) -> Answer:
    if call.who is None:
        raise ApiError(401, "", "Invalid username or password.")
    asked = call.json()
    if not 3 <= len(asked["title"]) <= 200:
        raise ApiError(400, "", "the title has to have 3 to 200 characters")
    pull = bool(asked.get("pullRequest"))
    made = call.repo.open(asked["title"], call.name, pull=pull, status="draft" if pull else "open")
    text = {"raw": asked["description"], "html": ""}
    _event(call, made, "comment", {"edited": False, "hidden": False, "latest": text})
    return told({"num": made.num, **_about(call, made)})


@route("discussion", "GET", "/api/datasets/{repo}/discussions/{num}")
def _details(call: Call) -> Answer:
    each = _of(call)
    more: dict[str, Any] = {}
    if each.pull:
        conflicts = call.repo.merged(each)[1] if each.status in ("draft", "open") else []
        more = {"changes": {"base": MAIN, "mergeCommitId": each.merged}, "filesWithConflicts": conflicts, "diff": ""}
    return told({**_about(call, each), "events": each.events, **more})


@route("comment", "POST", "/api/datasets/{repo}/discussions/{num}/comment")
def _comment(call: Call) -> Answer:
    data = {"edited": False, "hidden": False, "latest": {"raw": call.json()["comment"], "html": ""}}
    return told({"newMessage": _event(call, _of(call), "comment", data)})


@route("title", "POST", "/api/datasets/{repo}/discussions/{num}/title", "write")
def _title(call: Call) -> Answer:
    each, title = _of(call), call.json()["title"]
    event = _event(call, each, "title-change", {"from": each.title, "to": title})
    each.title = title
    return told({"newTitle": event})


@route("status", "POST", "/api/datasets/{repo}/discussions/{num}/status")
def _status(call: Call) -> Answer:
    each, status = _of(call), call.json()["status"]
    if each.author != call.name:
        allow("write", call.who, call.repo)
    if each.status in ("merged", status):
        raise ApiError(400, "", f"it is {each.status} already")
    each.status = status
    return told({"newStatus": _event(call, each, "status-change", {"status": status})})


@route("merge", "POST", "/api/datasets/{repo}/discussions/{num}/merge", "write")
def _merge(call: Call) -> Answer:
    """The Hub makes one commit on main of all that the pull request changes."""
    each, repo = _of(call), call.repo
    if not each.pull or each.status != "open":
        raise ApiError(400, "", f"it cannot be merged: it is {each.status}")
    tree, conflicts = repo.merged(each)
    if conflicts or (call.hub.merge_needs_base and repo.refs[MAIN] != each.base):
        raise ApiError(409, "", f"it cannot be merged: main has changed meanwhile; in conflict: {conflicts}")
    each.merged = repo.commit(MAIN, tree, f"{each.title} (#{each.num})", author=call.name)
    each.status = "merged"
    _event(call, each, "status-change", {"status": "merged"})
    return told({})
