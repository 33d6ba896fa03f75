"""What a look at a machine found: one convention for every check."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from mmidd.errors import MmiddError, sanitised
from mmidd.results import Result
from mmidd.show import doctor as show

if TYPE_CHECKING:
    from rich.console import Console

State = Literal["problem", "warning", "note", "ok"]
STATES: tuple[State, ...] = ("problem", "warning", "note", "ok")
"""The worst first. A problem makes a build fail, or makes it wrong; a warning may; a note is worth knowing."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `found` is what there is; `advice` a command or a sentence, None where all is well."""

    group: str
    name: str
    state: State
    found: str
    advice: str | None = None


@dataclass(frozen=True, repr=False)
class Examination(Result):
    """Everything that was looked at, in the order in which it was. `mmidd` is the version that looked."""

    mmidd: str
    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Is nothing a problem?"""
        return not self.of("problem")

    @property
    def counts(self) -> dict[str, int]:
        """How many checks ended in each state, the worst first."""
        found = Counter(check.state for check in self.checks)
        return {state: found[state] for state in STATES}

    def of(self, state: State) -> tuple[Check, ...]:
        """The checks that ended so."""
        return tuple(check for check in self.checks if check.state == state)

    def tell(self, console: Console) -> None:
        show.examined(console, self)

    def document(self) -> dict[str, Any]:
        """As `mmidd doctor --json` prints it."""
        checks = [{key: _utf8(value) for key, value in asdict(check).items()} for check in self.checks]
        return {"mmidd": self.mmidd, "sound": self.sound, "counts": self.counts, "checks": checks}

    def verdict(self) -> str:
        """The last line: what it all comes to."""
        counts = self.counts
        told = [f"{counts[state]} {state if counts[state] == 1 else state + 's'}" for state in STATES[:3] if counts[state]]
        told.append(f"{counts['ok']} checks ok")
        return ("nothing stands in the way" if self.sound else "mend the problems first") + f": {', '.join(told)}"


def attempt(group: str, name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks of a look; where the look itself fails, a problem that says how, after those that it had made."""
    try:
        yield from look()
    except MmiddError as error:
        yield Check(group, name, "problem", shown(str(error)), "see the message")
    except Exception as error:
        reason = sanitised(_utf8(str(error)))
        found = f"this check failed: {type(error).__name__}" + (f": {reason}" if reason else "")
        yield Check(group, name, "problem", found, "if nothing else explains it, report it with `mmidd doctor --json`")


def shown(path: object) -> str:
    """A path or a name as text: what is not UTF-8 as backslash escapes, quoted where it would not be seen."""
    text = _utf8(str(path))
    return text if text.strip() == text and text else repr(text)


def _utf8(value: Any) -> Any:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


_STOP_S = 5.0
_EACH = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for name in sys.argv[1:]:
    print(json.dumps([name, None, None]), flush=True)
    try:
        said = eval_ask(name)
    except BaseException as error:
        print(json.dumps([name, False, type(error).__name__ + ": " + str(error)]), flush=True)
    else:
        print(json.dumps([name, True, said]), flush=True)
"""


@dataclass(frozen=True)
class Asked:
    """What a package answered in a process of its own: `fault` says why it gave no answer."""

    answer: Any = None
    fault: str | None = None


def ask(questions: dict[str, str], seconds: float) -> dict[str, Asked]:
    """Ask packages in one other process, which may crash or hang without harm.

    `questions`: name to Python source of a function body that returns something JSON holds. A question after one that
    crashed or hung is asked in a new process.
    """
    left, found = dict(questions), dict[str, Asked]()
    while left:
        answered = _ask(left, seconds)
        found |= answered
        left = {name: source for name, source in left.items() if name not in answered}
    return found


def _ask(questions: dict[str, str], seconds: float) -> dict[str, Asked]:
    parts = [f"def ask_{place}():\n    {source.strip()}" for place, source in enumerate(questions.values())]
    table = "{" + ", ".join(f"{name!r}: ask_{place}" for place, name in enumerate(questions)) + "}"
    code = "\n".join([*parts, f"eval_ask = lambda name: {table}[name]()", _EACH])
    output, ended = _run([sys.executable, "-c", code, *questions], seconds)
    found: dict[str, Asked] = {}
    for line in output.decode(errors="replace").splitlines():
        try:
            name, well, said = json.loads(line)
        except (ValueError, TypeError):
            continue  # a package's own words
        if isinstance(name, str) and name in questions:
            fault = ended if well is None else None if well else sanitised(str(said))
            found[name] = Asked(said if well else None, fault)
    return found or {name: Asked(None, f"a second Python {ended}") for name in questions}


def _run(words: list[str], seconds: float) -> tuple[bytes, str]:
    """What a program printed, and how it ended. It is stopped when its time is over, with all that it started."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        words, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, cwd=sys.prefix, start_new_session=True
    )  # not in the user's folder: `python -c` would import what lies there
    try:
        output, _ = process.communicate(timeout=seconds)
        return output, f"ended with {_ended(process.returncode)}"
    except subprocess.TimeoutExpired as late:
        _stop(process)
        with suppress(subprocess.TimeoutExpired):  # one that waits for a driver cannot be stopped
            late.output = process.communicate(timeout=_STOP_S)[0]
        return late.output or b"", f"gave no answer within {seconds:g} s"
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
