"""One Finding for all checks; what `--json` prints of it is an interface, key by key."""

from __future__ import annotations

import json
from pathlib import Path

from mmidd.audit.results import Audit, CheckPart, Untested, finding
from mmidd.audit.run import Done
from mmidd.corpus.verify import Verified
from mmidd.findings import Finding
from mmidd.manifest.check import ADVICE, Checked, Compared, CountedPlace


def test_a_finding_of_verify_is_a_file_and_a_problem() -> None:
    found = Verified(3, 20, 9, (Finding("verify", "is missing", ("README.md",)),))
    assert found.document() == {
        "files": 3, "rows": 20, "media": 9, "findings": [{"file": "README.md", "problem": "is missing"}],
    }  # fmt: skip


def test_a_finding_of_an_audit_is_a_check_what_it_found_and_advice() -> None:
    part = CheckPart("leak", ("a line",), {"tests": [1]}, (finding("leak: x", "AUC 0.9", "look"),), (Untested("y", "none"),))
    assert Done((Audit("captions", (part,)),), (Path("x"),)).document() == {
        "captions": {
            "audit": "captions",
            "findings": [{"check": "leak: x", "what": "AUC 0.9", "advice": "look"}],
            "untested": [{"check": "y", "because": "none"}],
            "leak": {"tests": [1]},
        }
    }


def test_a_finding_of_index_check_is_a_kind_a_reason_and_names() -> None:
    place = CountedPlace("rule", "real", None, None, None)
    odd = Finding("in no rule", "no rule", ("a", "b"), ADVICE["in no rule"])
    compared = (Compared("rule", None, None, None, None, 3, 4, -1),)
    checked = Checked("CelebA", True, ((place, 3),), compared, (odd,), {"*.txt": 1}, ("one",), (2, 1))
    document = checked.document()
    assert json.loads(json.dumps(document)) == document == {
        "dataset": "CelebA", "verified": True,
        "counts": [{"rule": "rule", "label": "real", "method": None, "split": None, "compression": None, "found": 3}],
        "expected": [{
            "rule": "rule", "label": None, "method": None, "split": None, "compression": None, "found": 3, "expected": 4,
            "difference": -1,
        }],
        "findings": [{
            "kind": "in no rule", "reason": "no rule", "count": 2, "names": ["a", "b"], "advice": ADVICE["in no rule"],
        }],
        "ignored": {"*.txt": 1}, "known_defects": ["one"], "masks": {"fakes": 2, "found": 1}, "lists": [],
        "read_from": [], "clean": False,
    }  # fmt: skip
