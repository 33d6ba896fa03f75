"""`mmidd audit` from end to end: a table, a report beside the corpus, exit code 4 on findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Build

from mmidd import cli

from .conftest import WriteCorpus, rows_of


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_clean_corpus_ends_with_0_and_is_not_touched(
    write_corpus: WriteCorpus, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_corpus(rows_of(["A", "B"], 40, 0))
    before = _files(corpus)
    assert cli.run(["audit", str(corpus), "--only", "captions"]) == 0
    said = capsys.readouterr().out
    assert "no findings" in said and "held out by dataset" in said
    assert _files(corpus) == before
    first = (corpus.parent / "corpus.audit.json").read_bytes()
    assert cli.run(["audit", str(corpus)]) == 0 and (corpus.parent / "corpus.audit.json").read_bytes() == first


def test_a_leaking_corpus_ends_with_4_and_json_is_one_document(
    write_corpus: WriteCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(["A", "B"], 40, 0)
    for row in rows:
        row["face_caption"] += " Waxy skin." if row["label"] else ""
    rows[0]["environment_caption"] += " [red]\x1b[31m deepfake"
    corpus, out = write_corpus(rows), tmp_path / "elsewhere" / "report.json"
    assert cli.run(["audit", str(corpus), "--json", "--out", str(out)]) == 4
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(out.read_text(encoding="utf-8"))
    checks = {finding["check"] for finding in document["captions"]["findings"]}
    assert {"leak: real or fake", "leak list"} <= checks
    assert cli.run(["audit", str(corpus)]) == 4 and "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([row | {"face_caption": None, "environment_caption": None} for row in rows_of(["A"], 12, 0)],
         "no row has such a caption"),
        ([], "no row has such a caption"),
        (rows_of(["A"], 1, 0), "only 1 groups that can be compared hold fake"),
    ],
    ids=["no captions", "no rows", "one group"],
)  # fmt: skip
def test_what_cannot_be_audited_is_said_and_is_no_finding(
    write_corpus: WriteCorpus, tmp_path: Path, rows: list[dict[str, Any]], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["audit", str(write_corpus(rows)), "--review", str(tmp_path / "review")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"because {why}" in said and "no findings" in said
    assert (tmp_path / "review" / "review.html").is_file()


def test_wrong_use_is_told(write_corpus: WriteCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = str(write_corpus(rows_of(["A"], 2, 0)))
    for words, code, message in (
        (["--only", "shadows"], 2, "there is no audit 'shadows'; there are: captions"),
        (["--out", f"{corpus}/audit.json"], 2, "lies in the corpus"),
        (["--review", corpus], 2, "lies in the corpus"),
        (["--review-results", "x", "--clip", "y"], 2, "only reads answers back"),
        (["--review-results", str(tmp_path / "x")], 1, "cannot be read as JSON"),
        (["--attributes", str(tmp_path / "x")], 1, "list_attr_celeba.txt"),
        (["--clip", str(tmp_path)], 1, "no CLIP model"),
    ):
        assert cli.run(["audit", corpus, *words]) == code, words
        assert message in capsys.readouterr().err.replace("\n", " "), words
    assert cli.run(["audit", str(tmp_path)]) == 1 and "no readable mmidd.json" in capsys.readouterr().err


def test_the_sample_corpus_is_audited_reviewed_and_read_back(
    built: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "audit.json", tmp_path / "review"
    code = cli.run(["audit", str(built.out), "--out", str(out), "--review", str(folder), "--json"])
    document = json.loads(capsys.readouterr().out)["captions"]
    assert code == (4 if document["findings"] else 0)
    assert document["captions"]["rows"] == built.samples and document["leak_list"]["face"]["captions"] == 0
    frontal = next(each for each in document["measured"]["statements"] if each["name"] == "frontal")
    assert frontal["said"] > 0 and frontal["right"] == frontal["said"]  # both are told by the same five points
    text = (folder / "review.html").read_text(encoding="utf-8")
    identities = [piece.split('"')[0] for piece in text.split('data-id="')[1:]]
    shown = [piece.split('"')[0] for piece in text.split('data-shown="')[1:]]
    answers = [
        {"id": name, "shown": digest, "face": "right", "environment": "right"}
        for name, digest in zip(identities, shown, strict=True)
    ]
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps({"format": "mmidd-review-1", "answers": answers}), encoding="utf-8")
    code = cli.run(["audit", str(built.out), "--review-results", str(saved), "--out", str(tmp_path / "r.json"), "--json"])
    found = json.loads(capsys.readouterr().out)["review"]
    whole = next(each for each in found["review"]["strata"] if (each["field"], each["by"]) == ("face", "all"))
    assert code == 0 and whole["right"] == whole["n"] == len(answers) > 0 and found["review"]["not_in_corpus"] == 0
