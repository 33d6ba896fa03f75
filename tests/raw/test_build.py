"""A build from an object store is that of a folder: its bytes, its failures, its second run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conftest import SHARED, Place, Said, walk_here
from e2e import test_modes

from mmidd import cli
from mmidd.engine.store import Store
from mmidd.engine.tables import read_outcomes
from mmidd.errors import DataError
from mmidd.raw import path as paths
from mmidd.recipe import read
from mmidd.stages import extract

from .conftest import S3, SECRET, TOKEN, Request, digests, forget
from .test_bytes import PACKS, extracted, files, root_in

Run = Callable[..., Said]
IMAGE = "CelebA/img_align_celeba/000006.jpg"
MASK = "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4"
FAKE = "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"

__all__ = ["files"]


def words(place: Place, data: str | Path, out: Path, *more: str) -> list[str]:
    places = [str(place.recipe), "--data", str(data), "--out", str(out)]
    return ["build", *places, "--workers", "0", *more]


def work_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.work")


def failures(mmidd: Run, out: Path) -> list[tuple[str, str]]:
    found = mmidd("failures", str(work_of(out)), "--json").document
    return [(f"{each['dataset']}/{each['media']}", each["message"]) for each in found]


def test_a_build_has_the_bytes_of_a_local_one_and_one_more_fetches_nothing(
    small: Place, s3: S3, tmp_path: Path, mmidd: Run
) -> None:
    out, address = tmp_path / "corpus", s3.upload(small.data, "same")
    wanted = sorted(f"/raw/same/{path.relative_to(small.data)}" for path in small.data.rglob("*.[jm]p[g4]"))
    assert mmidd(*words(small, address, out)).code == 0
    assert digests(out) == digests(small.out)
    assert sorted(path for path in s3.fetched() if path.endswith((".jpg", ".mp4"))) == wanted
    forget()
    s3.gate.seen.clear()
    again = mmidd(*words(small, address, out))
    assert again.code == 0 and "(unchanged)" in again.err
    assert s3.fetched() == [] and not [request for request in s3.gate.seen if request[0] == "HEAD"]
    assert len(s3.listed()) == len(set(s3.listed())) == 3  # the root, and its two datasets
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in (b"SENTINEL", SECRET.encode(), TOKEN.encode())), path


def test_a_cache_that_holds_next_to_nothing_will_do(
    small: Place, s3: S3, tmp_path: Path, mmidd: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMIDD_CACHE_GB", "0.0001")
    monkeypatch.setenv("MMIDD_CACHE", str(tmp_path / "scratch"))
    out, address = tmp_path / "corpus", s3.upload(small.data, "same")
    s3.gate.seen.clear()
    assert mmidd(*words(small, address, out)).code == 0
    assert digests(out) == digests(small.out) and not (work_of(out) / "remote").exists()
    media = [path for path in s3.fetched() if path.endswith((".jpg", ".mp4"))]
    assert len(media) == len(set(media))
    kept = [path.stat().st_size for path in (tmp_path / "scratch").rglob("*.*")]
    assert len(kept) < len(media) and (sum(kept) <= 100_000 or len(kept) == 1)


def test_every_command_that_remembers_the_data_finds_it_again(small: Place, s3: S3, tmp_path: Path, mmidd: Run) -> None:
    out, address = tmp_path / "corpus", s3.upload(small.data, "same")
    planned = words(small, address, out)[1:-2]
    before = mmidd("plan", *planned)
    assert before.code == 0 and "to fetch" in before.out and not work_of(out).exists()
    images = ["--only", "CelebA"]
    work = ["--work", str(work_of(out))]
    named = [str(small.recipe), "--data", address]
    assert mmidd("index", *named, *work, *images, "--check").code == 4  # it is no official release
    assert mmidd("extract", *named, *work, *images, "--workers", "0").code == 0
    assert mmidd("build", *planned, *images, "--workers", "0").code == 0
    assert mmidd("status", str(work_of(out))).code == 0
    assert mmidd("failures", str(work_of(out)), "--retry").code == 0
    assert "not up to date" not in mmidd("plan", *planned, *images).out
    assert json.loads((work_of(out) / "build.json").read_text())["data"] == address
    collected = mmidd("gc", str(work_of(out)), "--json").document
    assert collected["counts"]["copies of remote data"] == 9  # seven images, two lists
    assert mmidd("build", *planned, *images, "--workers", "0").code == 0
    found = mmidd("datasets", "--data", address, "--json").document
    assert [row["name"] for row in found if row["found"]] == ["CelebA", "FaceForensics++"]


def test_a_worker_that_is_killed_in_mid_download_costs_nothing(
    small: Place, s3: S3, tmp_path: Path, mmidd: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, more = s3.upload(small.data, "same"), ["--only", "FaceForensics++"]
    if (SHARED / "models").is_dir():  # its workers start fast
        monkeypatch.setenv("MMIDD_MODELS", str(SHARED / "models"))
        more += ["--set", "detector.kind=yunet"]
    near, far = tmp_path / "near", tmp_path / "far"
    assert mmidd(*words(small, small.data, near, *more)).code == 0
    monkeypatch.setenv("MMIDD_FAULT", f"fetched@.mp4:1:kill:{tmp_path / 'tally'}")
    assert mmidd(*words(small, address, far, *more, "--workers", "2")).code == 0
    assert (tmp_path / "tally").stat().st_size > 1
    assert digests(far) == digests(near)


@pytest.fixture(scope="module")
def forms(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Clips in tar.gz, folders of frames, zips (one damaged), whole pictures, a video with its mask; built from a folder."""
    place = Place.whole(tmp_path_factory.mktemp("forms"))
    test_modes.make(place.data, sample_data)
    for name in (FAKE, MASK):
        target = place.data / "FaceForensics++" / name
        target.parent.mkdir(parents=True)
        shutil.copy(sample_data / "FaceForensics++" / name, target)
    (place.recipe).write_text(test_modes.RECIPE)
    assert cli.run(words(place, place.data, place.out)) == 3
    return place


def test_archives_frames_and_masks_in_a_store_give_what_they_give_on_a_disk(
    forms: Place, s3: S3, tmp_path: Path, mmidd: Run
) -> None:
    out, address = tmp_path / "corpus", s3.upload(forms.data, "forms")
    s3.gate.seen.clear()
    assert mmidd(*words(forms, address, out)).code == 3
    assert digests(out) == digests(forms.out)
    assert failures(mmidd, out) == failures(mmidd, forms.out)
    assert len(s3.fetched()) == len(set(s3.fetched()))  # archives too: each is one block
    forget()
    s3.gate.seen.clear()
    assert "(unchanged)" in mmidd(*words(forms, address, out)).err
    assert s3.fetched() == []


@pytest.mark.parametrize("prefix", sorted(prefix for prefix in PACKS if prefix))
def test_media_of_every_archive_are_read_in_place(prefix: str, files: dict[str, bytes], s3: S3, tmp_path: Path) -> None:
    PACKS[prefix](root_in(tmp_path), files)
    address = s3.upload(tmp_path / "root", f"packs/{prefix.strip('/')}")
    assert extracted(address, tmp_path / "far") == extracted(tmp_path / "root", tmp_path / "near")
    assert len(s3.fetched()) == 1


def test_a_replaced_object_of_equal_size_costs_itself_alone(small: Place, s3: S3, tmp_path: Path, mmidd: Run) -> None:
    local = tmp_path / "local"
    shutil.copytree(small.root, local)
    place, out, address = Place.whole(local), tmp_path / "corpus", s3.upload(small.data, "replaced")
    assert mmidd(*words(small, address, out)).code == 0
    image, other = place.data / IMAGE, (small.data / IMAGE.replace("6", "5")).read_bytes()
    size = image.stat().st_size
    image.write_bytes((other + bytes(size))[:size])
    os.utime(image, ns=(1, 1))
    s3.client.put_object(Bucket=s3.bucket, Key=f"replaced/{IMAGE}", Body=image.read_bytes())
    assert mmidd(*words(place, place.data, place.out, "--allow-removals")).code in (0, 3)
    forget()
    s3.gate.seen.clear()
    assert mmidd(*words(small, address, out, "--allow-removals")).code in (0, 3)
    assert s3.fetched() == [f"/raw/replaced/{IMAGE}"]
    assert digests(out) == digests(place.out) != digests(small.out)


def told(out: Path) -> dict[str, str | None]:
    """What is on record of the media that failed."""
    store = Store(work_of(out))
    outcomes = [each for record in store.records("extract") for each in read_outcomes(store, record)]
    return {f"{each.dataset}/{each.media}": each.message for each in outcomes if each.status == "failed"}


def denying(key: str, status: str, code: str) -> Callable[[Request], tuple[str, str] | None]:
    return lambda request: (status, code) if request[1].endswith(key) else None


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [("403 Forbidden", "AccessDenied", "Permission denied"), ("404 Not Found", "NoSuchKey", "No such file or directory")],
)
def test_an_object_that_cannot_be_had_fails_with_its_reason_and_is_tried_by_the_next_build(
    status: str, code: str, reason: str, small: Place, s3: S3, tmp_path: Path, mmidd: Run
) -> None:
    out, address = tmp_path / "corpus", s3.upload(small.data, "same")
    s3.gate.answer = denying(IMAGE, status, code)
    assert mmidd(*words(small, address, out)).code == 3
    assert failures(mmidd, out) == [(IMAGE, f"cannot be read: {reason}")]
    still = mmidd("failures", str(work_of(out)), "--retry")
    assert still.code == 3 and failures(mmidd, out) == [(IMAGE, f"cannot be read: {reason}")]
    s3.gate.answer = lambda request: None
    again = ["failures", str(work_of(out)), "--retry"] if "403" in status else words(small, address, out)
    assert mmidd(*again).code == 0
    assert digests(out) == digests(small.out)


def test_an_object_that_is_replaced_while_the_build_runs_is_said_to_have_changed(
    small: Place, s3: S3, tmp_path: Path, mmidd: Run
) -> None:
    out, address = tmp_path / "corpus", s3.upload(small.data, "raced")
    data = (small.data / IMAGE).read_bytes()
    replaced: list[Any] = []

    def race(request: Request) -> None:
        if request[0] == "GET" and request[1].endswith(IMAGE) and not replaced:
            replaced.append(s3.client.put_object(Bucket=s3.bucket, Key=f"raced/{IMAGE}", Body=bytes(len(data))))

    s3.gate.answer = race
    assert mmidd(*words(small, address, out)).code == 3
    assert told(out) == {IMAGE: "the file changed while the build was under way; run it again"}
    s3.client.put_object(Bucket=s3.bucket, Key=f"raced/{IMAGE}", Body=data)
    assert mmidd(*words(small, address, out)).code == 0
    assert digests(out) == digests(small.out)


OUTAGES: dict[str, Callable[[S3], Any]] = {
    "the server dies": lambda s3: s3.down(),
    "credentials expire": lambda s3: setattr(s3.gate, "answer", lambda request: ("403 Forbidden", "ExpiredToken")),
    "the bucket goes": lambda s3: setattr(s3.gate, "answer", lambda request: ("404 Not Found", "NoSuchBucket")),
    "errors of its own": lambda s3: setattr(s3.gate, "answer", lambda request: ("500 Oops", "InternalError")),
}


@pytest.mark.parametrize("name", OUTAGES)
def test_an_outage_stops_the_build_and_charges_no_medium(
    name: str, small: Place, s3: S3, tmp_path: Path, mmidd: Run
) -> None:
    out, address = tmp_path / "corpus", s3.upload(small.data, "same")
    port, seen = s3.port, list[Request]()

    def breaks(request: Request) -> tuple[str, str] | None:
        seen.append(request)
        if request[1].endswith(("000002.jpg", "000.mp4")):
            OUTAGES[name](s3)
            return "503 Gone", "InternalError"
        return None

    s3.gate.answer = breaks
    stopped = mmidd(*words(small, address, out))
    assert stopped.code == 1, stopped.err
    assert address in stopped.err and "run the same command to go on" in " ".join(stopped.err.split())
    assert SECRET not in stopped.err and "SENTINEL" not in stopped.err
    assert any(request[1].endswith("000002.jpg") for request in seen)
    records = [json.loads(path.read_text()) for path in work_of(out).glob("records/extract/*/*.json")]
    assert not any(record["record"]["counts"].get("failed") for record in records)
    if name == "the server dies":
        s3.up()
    assert s3.port == port
    s3.gate.answer = lambda request: None
    assert mmidd(*words(small, address, out)).code == 0
    assert digests(out) == digests(small.out)


def test_any_protocol_of_fsspec_will_do(small: Place, tmp_path: Path, mmidd: Run) -> None:
    memory, only = fsspec.filesystem("memory"), ["--only", "CelebA"]
    memory.put(str(small.data), "/kept", recursive=True)
    try:
        assert mmidd(*words(small, "memory://kept", tmp_path / "far", *only)).code == 0
    finally:
        memory.rm("/kept", recursive=True)
    assert mmidd(*words(small, f"file://{small.data}", tmp_path / "near", *only)).code == 0
    assert not (work_of(tmp_path / "near") / "remote").exists()
    assert digests(tmp_path / "far") == digests(tmp_path / "near")


@pytest.mark.parametrize("prefix", sorted(prefix for prefix in PACKS if prefix))
def test_an_outage_at_any_block_of_an_archive_charges_no_medium(
    prefix: str, files: dict[str, bytes], s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "BLOCK", 8192)
    PACKS[prefix](
        root_in(tmp_path), {name: data for name, data in files.items() if name.startswith(("video", "frames/detect"))}
    )
    address = s3.upload(tmp_path / "root", f"blocks/{prefix.strip('/')}")
    s3.gate.seen.clear()
    whole = extracted(address, tmp_path / "work")
    blocks = len(s3.fetched())
    assert blocks > 4
    for last in range(0, blocks, max(1, blocks // 3)):
        s3.gate.seen.clear()
        s3.gate.answer = lambda request, last=last: ("500 Oops", "InternalError") if len(s3.fetched()) > last else None  # type: ignore[misc]
        with pytest.raises(DataError, match="cannot be read"):
            extracted(address, tmp_path / str(last))
    s3.gate.answer = lambda request: None
    assert extracted(address, tmp_path / "0") == whole


def test_a_store_is_given_time_and_a_disk_is_not(small: Place, s3: S3, tmp_path: Path) -> None:
    address, seconds = s3.upload(small.data, "same"), []
    for data in (address, small.data):
        setup, walked = walk_here(read(str(small.recipe)), data, tmp_path / "work", "index", run=True)
        units = extract.plan(walked.index.selected.values(), setup.recipe, setup.digests, {}, {})
        seconds.append({round(extract.fetching(task)) for unit in units for task in unit.tasks})
    assert seconds == [{121, 127}, {0}]  # a video, and a run of seven images
