"""Who asks, and what they may: the answers to strangers are those of the Hub."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

from .git import ApiError, Repo

Need = Literal["none", "user", "see", "content", "write"]
"""Of a route: nothing; a valid token; to see a repository; to read its files (the gate); to change it."""


@dataclass(frozen=True)
class Who:
    """The user of a token. `writes`: may the token write where its user may? `orgs`: with their right to write."""

    name: str
    orgs: tuple[str, ...] = ()
    writes: bool = True
    token: str = field(default_factory=lambda: f"hf_{secrets.token_hex(17)}", repr=False)

    def owns(self, repo: Repo) -> bool:
        return repo.namespace == self.name or repo.namespace in self.orgs


def known(users: dict[str, Who], authorization: str | None) -> Who | None:
    """Raises ApiError: 401 for a token that nobody has."""
    if not authorization:
        return None
    token = authorization.removeprefix("Bearer ")
    if token not in users:
        raise ApiError(401, "", "Invalid credentials in Authorization header")
    return users[token]


def allow(need: Need, who: Who | None, repo: Repo | None) -> None:
    """Raises ApiError: 401, 403 or 404, where it is not allowed; `repo` None: there is none of the name."""
    if need == "none":
        return
    if need == "user":
        if who is None:
            raise ApiError(401, "", "Invalid username or password.")
        return
    if repo is None or (repo.private and not (who and (who.owns(repo) or who.name in repo.granted))):
        if who is None:
            raise ApiError(401, "RepoNotFound", "Invalid username or password.")
        raise ApiError(404, "RepoNotFound", "Repository not found")
    if need == "content":
        _through_gate(who, repo)
    if need == "write":
        writes(who, repo.namespace)


def _through_gate(who: Who | None, repo: Repo) -> None:
    if not repo.gated or (who and (who.owns(repo) or who.name in repo.granted)):
        return
    if who is None:
        raise ApiError(
            401, "GatedRepo", f"Access to dataset {repo.id} is restricted. You must be authenticated to access it."
        )
    raise ApiError(403, "GatedRepo", f"Access to dataset {repo.id} is restricted and you are not in the authorized list.")


def writes(who: Who | None, namespace: str) -> None:
    """Raises ApiError: 401 or 403 for whoever may not write in a namespace."""
    if who is None:
        raise ApiError(401, "", "Invalid username or password.")
    if namespace != who.name and namespace not in who.orgs:
        raise ApiError(403, "", f"You don't have the rights to create or change a dataset under the namespace {namespace!r}")
    if not who.writes:
        raise ApiError(403, "", "Forbidden: you must use a write token to upload to a repository.")
