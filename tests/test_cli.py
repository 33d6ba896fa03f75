"""The command line: what its commands are, how they end, and what they say."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer.main
from conftest import Place, Said

from mmidd import __version__, cli
from mmidd.manifest.check import ADVICE

Run = Callable[..., Said]

BAD_IMAGE = "CelebA/img_align_celeba/000001.jpg"
REAL, FAKE = "original_sequences/youtube/c23/videos/000.mp4", "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"

_WHAT = "RECIPE --data --only --set --exclude --follow-links --require-all"
_HOW = "--workers --worker-memory --device --engine --engine-set"
# Programs and people's fingers rely on these; a change here is a change of the interface.
COMMANDS = {
    "build": f"{_WHAT} --out --work {_HOW} --allow-removals --dry-run --json",
    "index": f"{_WHAT} --work {_HOW} --check --json",
    "extract": f"{_WHAT} --work {_HOW} --json",
    "caption": f"{_WHAT} --work {_HOW} --json",
    "curate": f"{_WHAT} --work {_HOW} --json",
    "shard": f"{_WHAT} --out --work {_HOW} --allow-removals --json",
    "plan": f"{_WHAT} --out --work {_HOW} --json",
    "status": "WORK --data --out --json",
    "failures": "WORK --retry --data --out --json",
    "gc": "WORK [RECIPE]... --dry-run --data --out --json",
    "verify": "CORPUS --exclude --json",
    "plugins": "--json",
    "detectors": "[NAME] --json",
    "audit": "CORPUS --only --clip --attributes --review --review-results --seed --out --json",
    "sample": "DIR",
    "datasets": "[NAME] --data --json",
    "export": "CORPUS --to --out --split --dataset --json",
    "rehydrate": "WHERE --data --out --check --digests --only --accept --manifests --follow-links --workers --json",
    "train": "DETECTOR CORPUS --out --preset --set --seeds --fraction --only --paired --self-blended --holdout --workers "
    "--device --json",
    "score": "MODEL [CORPUS] --out --split --only --degrade --explain --set --workers --device --import --column --level "
    "--logit --real-high --ignore-strangers --json",
    "evaluate": "FILE... --validation --corpus --by --attributes --rule --coverage --seed --resamples --out --json",
    "compare": "FILE... --validation --rule --level --seed --resamples --out --json",
    "validate": "CORPUS --out --detectors --studies --test --preset --set --seeds --holdout --workers --device --dry-run "
    "--json",
    "faithful": "RUN CORPUS --out --split --rows --seed --resamples --device --json",
    "ablate": "NAME CORPUS --out --detector --specialist --test --preset --set --seeds --strength --holdout --workers "
    "--device --dry-run --json",
    "detect": "PATH... --model --corpus --rates --rule --stills --region --explain --out --csv --set --workers --device "
    "--json",
    "publish": "CORPUS [ORG/NAME] --out --labels-only --only --redact --private --gated --commit-bytes --verify "
    "--squash-history --yes --dry-run --workers --json",
    "import": "KIND LIST... --images --out --name --licence --faces --label --method --link --json",
    "doctor": "--data --out --work --json",
}


def _rows(out: Path) -> list[dict[str, str]]:
    """The names of a corpus's samples."""
    tables = (pq.read_table(path, columns=["id", "dataset", "media"]) for path in sorted((out / "data").iterdir()))
    return [row for table in tables for row in table.to_pylist()]


def _media(out: Path) -> set[str]:
    return {row["media"] for row in _rows(out)}


def _digests(out: Path) -> dict[str, str]:
    files = [path for path in out.rglob("*") if path.is_file()]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_commands_and_options_are_frozen() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    found = {
        name: {
            option if option.startswith("-") else parameter.metavar
            for parameter in command.params
            for option in parameter.opts
        }
        for name, command in commands.items()
    }
    assert found == {name: set(words.split()) for name, words in COMMANDS.items()}


def test_every_command_and_every_option_is_explained() -> None:
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None) or parameter.param_type_name == "argument", f"{name} {parameter.name}"


def test_help_and_version_load_nothing_heavy() -> None:
    for word, wanted in (("--help", "verify"), ("--version", __version__)):
        code = (
            "import sys; from mmidd import cli; code = cli.run([sys.argv[1]]); "
            "heavy = {'torch', 'datasets', 'pyarrow', 'cv2', 'av', 'numpy', 'pandas'} & set(sys.modules); "
            "print(code, len(sys.modules), *heavy, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True, check=True)
        ended, modules, *heavy = done.stderr.split()
        assert wanted in done.stdout and (ended, heavy) == ("0", []) and int(modules) < 700


def test_the_module_and_the_script_are_the_same_command() -> None:
    module = subprocess.run([sys.executable, "-m", "mmidd", "--version"], capture_output=True, text=True)
    assert (module.returncode, module.stdout) == (0, f"mmidd {__version__}\n")
    wrong = subprocess.run([sys.executable, "-m", "mmidd", "biuld"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "biuld" in wrong.stderr and "Traceback" not in wrong.stderr


USAGE = [
    (["build"], "RECIPE"),
    (["build", "sample", "--out", "x"], "--data"),
    (["build", "sample", "--data", "d", "--out", "x", "--workers", "-1"], "--workers"),
    (["build", "sample", "--data", "d", "--out", "x", "--device", "tpu"], "--device"),
    (["build", "sample", "--data", "d", "--out", "x", "--frames", "3"], "--frames"),
]


@pytest.mark.parametrize(("words", "named"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_wrong_use_ends_with_2_and_names_the_word(mmidd: Run, words: list[str], named: str) -> None:
    said = mmidd(*words)
    assert said.code == 2 and named in said.err and not said.out


def _said(mmidd: Run, place: Place, verb: str, *more: str) -> Said:
    return mmidd(*place.words(verb, *more))


ERRORS = [
    (["--set", "sed=1"], 1, "--set sed=1: key 'sed': unknown; did you mean 'seed'?"),
    (["--set", "seed"], 2, "--set takes key=value"),
    (["--only", "CelebB"], 1, "dataset 'CelebB': unknown; did you mean 'CelebA'?"),
    (["--only", "DFDC"], 2, "--only DFDC: the recipe has FaceForensics++, CelebA, FFHQ"),
    (["--only", "FFHQ"], 1, "none of the recipe's datasets is under"),
    (["--require-all"], 1, "missing: FFHQ"),
    (["--exclude", "absent.txt"], 2, "cannot read --exclude absent.txt: No such file"),
    (["--data", "absent"], 1, "the data root absent is not a folder"),
    (["--work", "{data}/work"], 2, "lies inside the data root"),
    (["--out", "{data}/corpus"], 2, "lie in each other"),
    (["--work", "{out}/work"], 2, "lie in each other"),
    (["--work", "{data}"], 2, "data root"),
    (["--set", "captioner=openai"], 2, "openai"),
]


@pytest.mark.parametrize(
    ("more", "code", "message"), ERRORS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_an_error_says_what_and_changes_nothing(mmidd: Run, small: Place, more: list[str], code: int, message: str) -> None:
    before = _digests(small.root)
    words = [word.format(data=small.data, out=small.out) for word in more]
    said = _said(mmidd, small, "build", *words)
    assert said.code == code and message in said.err
    after = _digests(small.root)
    assert {name: after.get(name) for name in before if not name.endswith("build.json")} == {
        name: digest for name, digest in before.items() if not name.endswith("build.json")
    }


def test_a_second_build_does_nothing_and_says_so(mmidd: Run, place: Place) -> None:
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in place.out.rglob("*")}
    said = _said(mmidd, place, "build")
    assert said.code == 0 and "(unchanged)" in said.err and not said.out
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in place.out.rglob("*")} == before


def test_absent_datasets_are_named_and_skipped(mmidd: Run, place: Place) -> None:
    assert "not under the data root, skipped: FFHQ" in _said(mmidd, place, "build").err
    assert _said(mmidd, place, "plan", "--json").document["absent"] == ["FFHQ"]


def test_an_empty_dataset_folder_is_an_error(mmidd: Run, place: Place) -> None:
    (place.data / "FFHQ").mkdir()
    said = _said(mmidd, place, "build")
    assert said.code == 1 and "FFHQ is empty" in said.err


def test_a_build_with_a_broken_medium_ends_with_3_and_failures_lists_and_mends_it(mmidd: Run, place: Place) -> None:
    path = place.data / BAD_IMAGE
    whole, before = path.read_bytes(), _rows(place.out)
    path.write_text("no picture")
    (place.data / "CelebA" / "odd.xyz").write_text("?")
    said = _said(mmidd, place, "build", "--allow-removals")
    assert said.code == 3 and "1 failed" in said.err and "mmidd failures" in said.err
    assert len(_rows(place.out)) == len(before) - 1
    listed = mmidd("failures", str(place.work), "--json")
    assert listed.code == 3
    assert [(f["stage"], f["dataset"], f["media"]) for f in listed.document] == [
        ("extract", "CelebA", "img_align_celeba/000001.jpg"), ("index", "CelebA", "odd.xyz"),
    ]  # fmt: skip
    told = mmidd("failures", str(place.work))
    assert "CelebA/img_align_celeba/000001.jpg  UnreadableMedia: " in told.out and str(place.data) not in told.out
    assert mmidd("failures", str(place.work), "--retry").code == 3
    path.write_bytes(whole)
    (place.data / "CelebA" / "odd.xyz").unlink()
    mended = mmidd("failures", str(place.work), "--retry", "--json")
    assert (mended.code, mended.document) == (0, [])
    assert _rows(place.out) == before


def test_findings_end_with_4(mmidd: Run, place: Place) -> None:
    before = _said(mmidd, place, "index", "--check", "--json")
    assert before.code == 4 and not before.document["clean"] and before.document["absent"] == ["FFHQ"]
    (place.data / "CelebA" / "odd.xyz").write_text("?")
    said = _said(mmidd, place, "index", "--check")
    assert said.code == 4 and "in no rule: 1, no rule" in said.out and "odd.xyz" in said.out and "-202,5" in said.out
    after = _said(mmidd, place, "index", "--check", "--json")
    (celeba,) = (each for each in after.document["datasets"] if each["dataset"] == "CelebA")
    odd = {"kind": "in no rule", "reason": "no rule", "count": 1, "names": ["odd.xyz"], "advice": ADVICE["in no rule"]}
    assert (
        after.code == 4 and odd in celeba["findings"] and not any(odd in d["findings"] for d in before.document["datasets"])
    )
    assert _said(mmidd, place, "index").code == 0 and _said(mmidd, place, "index", "--json").code == 0
    assert mmidd("verify", str(place.out)).code == 0
    (place.out / "README.md").write_text("")
    said = mmidd("verify", str(place.out))
    assert said.code == 4 and "README.md: has 0 bytes" in said.out


@pytest.mark.parametrize("verb", ["datasets", "plan", "status", "failures", "verify"])
def test_json_is_one_document_on_stdout_and_nothing_else(mmidd: Run, small: Place, verb: str) -> None:
    words = {
        "datasets": ["datasets", "--data", str(small.data)],
        "plan": small.words("plan"),
        "status": ["status", str(small.work)],
        "failures": ["failures", str(small.work)],
        "verify": ["verify", str(small.out)],
    }[verb]
    said = mmidd(*words, "--json")
    keys = {
        "plan": {
            "stages",
            "absent",
            "not_taken",
            "samples",
            "work",
            "corpus",
            "hours",
            "basis",
            "captions",
            "complete",
            "to_fetch",
            "taken_down",
            "refused",
            "lists",
            "unlabelled",
            "reread",
            "near",
        },
        "status": {"plan", "media", "reasons", "corpus", "samples", "complete", "losses", "pairs", "takedown"},
        "verify": {"files", "rows", "media", "findings"},
    }
    assert (said.code, said.err) == (0, "")
    if verb in keys:
        assert set(said.document) == keys[verb]
    else:
        assert isinstance(said.document, list)
    assert mmidd(*words).code == 0


def test_datasets_say_what_there_is_how_to_get_one_and_which_are_found(mmidd: Run, small: Place) -> None:
    rows = mmidd("datasets", "--data", str(small.data), "--json").document
    assert len(rows) >= 7 and {row["name"] for row in rows if row["found"]} == {"FaceForensics++", "CelebA"}
    wanted = "name slug year media real fake types licence redistributable verified found"
    assert set(wanted.split()) <= set(rows[0])
    (one,) = mmidd("datasets", "celeba", "--json").document
    assert one["access"] and "layout, under the data root" in one["text"]
    wrong = mmidd("datasets", "celbea")
    assert wrong.code == 1 and "did you mean 'CelebA'?" in wrong.err


def test_a_build_that_would_lose_rows_stops_lists_them_and_changes_nothing(mmidd: Run, place: Place) -> None:
    before = _digests(place.out)
    (place.data / BAD_IMAGE).unlink()
    said = _said(mmidd, place, "build")
    assert said.code == 1 and "would remove 1 rows of 1 media" in said.err and f"  {BAD_IMAGE}: 1 rows" in said.err
    assert _digests(place.out) == before
    assert _said(mmidd, place, "build", "--only", "CelebA").code == 1
    assert _digests(place.out) == before
    assert _said(mmidd, place, "build", "--allow-removals").code == 0
    assert "img_align_celeba/000001.jpg" not in _media(place.out)


@pytest.mark.parametrize("line", ["media:FaceForensics++/{real}", "sha256:{sha256}", "identity:faceforensics/000"])
def test_a_takedown_takes_the_rows_and_the_fakes_of_a_real_and_is_kept_for_good(mmidd: Run, place: Place, line: str) -> None:
    assert {REAL, FAKE} <= _media(place.out)
    sha256 = hashlib.sha256((place.data / "FaceForensics++" / REAL).read_bytes()).hexdigest()
    takedown = place.root / "takedown.txt"
    takedown.write_text(line.format(real=REAL, sha256=sha256) + "\n")
    assert _said(mmidd, place, "plan", "--exclude", str(takedown), "--json").document["not_taken"]["excluded"] >= 2
    assert {REAL, FAKE} <= _media(place.out)
    assert _said(mmidd, place, "build", "--exclude", str(takedown)).code == 0
    left = _media(place.out)
    assert not {REAL, FAKE} & left and len(left) >= 7
    takedown.unlink()
    assert _said(mmidd, place, "plan", "--json").document["not_taken"]["excluded"] >= 2
    said = _said(mmidd, place, "build")
    assert said.code == 0 and "(unchanged)" in said.err
    rows = pq.read_table(place.out / "media.parquet", columns=["media", "outcome", "reason", "samples"]).to_pylist()
    assert [(r["outcome"], r["reason"], r["samples"]) for r in rows if r["media"] == REAL] == [("dropped", "excluded", 0)]


def test_a_takedown_of_a_medium_that_was_never_read_holds_as_well(mmidd: Run, small: Place, tmp_path: Path) -> None:
    sha256 = hashlib.sha256((small.data / "FaceForensics++" / REAL).read_bytes()).hexdigest()
    (tmp_path / "list.txt").write_text(f"sha256:{sha256}\n")
    words = [str(small.recipe), "--data", str(small.data), "--out", str(tmp_path / "corpus"), "--workers", "0"]
    words += ["--only", "faceforensics", "--set", "captioner=none", "--exclude", str(tmp_path / "list.txt")]
    assert mmidd("build", *words).code == 0
    assert not {REAL, FAKE} & _media(tmp_path / "corpus")
    assert "(unchanged)" in mmidd("build", *words).err


def test_single_stages_in_order_are_a_build_byte_for_byte_and_out_of_order_an_error(
    mmidd: Run, small: Place, tmp_path: Path
) -> None:
    other = Place.whole(tmp_path)
    tail = ["--data", str(small.data), "--work", str(tmp_path / "corpus.work")]
    (tmp_path / "recipe.yaml").write_bytes((small.recipe).read_bytes())
    recipe, inline = str(tmp_path / "recipe.yaml"), ["--workers", "0"]
    for verb, wanted in (("caption", "extract"), ("curate", "extract")):
        said = mmidd(verb, recipe, *tail)
        assert said.code == 1 and f"{wanted} is not up to date" in said.err and f"mmidd {wanted}" in said.err
    assert mmidd("index", recipe, *tail).code == 0
    assert mmidd("extract", recipe, *tail, *inline).code == 0
    said = mmidd("shard", recipe, *tail, "--out", str(other.out))
    assert said.code == 1 and "caption is not up to date" in said.err and not other.out.exists()
    assert mmidd("caption", recipe, *tail, *inline).code == 0
    assert mmidd("curate", recipe, *tail).code == 0
    assert mmidd("shard", recipe, *tail, "--out", str(other.out), *inline).code == 0
    assert _digests(other.out) == _digests(small.out)


def test_what_curation_dropped_is_told_by_reason_and_dataset(mmidd: Run, place: Place) -> None:
    said = mmidd(*place.words("build"))
    assert said.code == 0 and "curation dropped 1 samples: exact_duplicate (CelebA 1)" in said.err


def test_a_folder_that_is_no_work_folder_is_told(mmidd: Run, tmp_path: Path) -> None:
    for verb in ("status", "failures"):
        said = mmidd(verb, str(tmp_path))
        assert said.code == 1 and "is no work folder of a build" in said.err
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_holds_something_else_is_left_alone(mmidd: Run, small: Place, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    said = mmidd("build", str(small.recipe), "--data", str(small.data), "--out", str(tmp_path / "out"))
    assert said.code == 1 and "holds something that is no corpus of mmidd" in said.err
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "thesis.txt"]


def test_whoever_chooses_weights_of_a_bound_licence_is_told(
    mmidd: Run, small: Place, shared_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMIDD_MODELS", str(shared_models))
    words = ["plan", str(small.recipe), "--data", str(small.data), "--out", str(small.root / "other")]
    for detector, told in (("scrfd", True), ("yunet", False)):
        said = mmidd(*words, "--set", f"detector={detector}")
        assert said.code == 0 and ("non-commercial research only" in said.err) == told, detector
    assert mmidd(*words, "--set", "detector=scrfd", "--json").err == ""
