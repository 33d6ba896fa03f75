"""What lies in a store, by keys that nobody vouches for; and every way in which it may not be had at all."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said

from mmidd.errors import CHANGED, DataError, MissingExtra, UnreadableMedia, UsageError
from mmidd.raw import listing, store
from mmidd.raw import path as paths
from mmidd.raw.path import RemotePath, root_of
from mmidd.raw.store import address

from .conftest import S3

Run = Callable[..., Said]
KEYS = [
    "a.jpg", "deep/b c#%41é.jpg", "../up.jpg", "x/../../up.jpg", "x/./y.jpg", "/lead.jpg", "x//y.jpg",
    "both", "both/inner.jpg", f"{'n' * 256}.jpg", "v.jpg?versionId=1", "back\\slash.jpg",
]  # fmt: skip
REFUSED = {
    "../up.jpg": "not a plain relative path",
    "x/../../up.jpg": "not a plain relative path",
    "x/./y.jpg": "not a plain relative path",
    "/lead.jpg": "not a plain relative path",
    "x//y.jpg": "not a plain relative path",
    "both": "both a file and a folder",
    f"{'n' * 256}.jpg": "a name of more than 255 bytes",
    "v.jpg?versionId=1": "a name that s3fs reads as another object's",
    "full/": "not a plain relative path",
}


def test_keys_that_are_no_files_are_refused_and_markers_are_folders(s3: S3) -> None:
    for key in KEYS:
        s3.client.put_object(Bucket=s3.bucket, Key=f"odd/{key}", Body=b"1")
    for marker in ("odd/", "odd/empty/", "odd/deep/", "odd/full/"):
        s3.client.put_object(Bucket=s3.bucket, Key=marker, Body=b"1" if "full" in marker else b"")
    found = listing.walk(root_of("s3://raw/odd"))
    assert found.refused == REFUSED
    assert set(found.files) == set(KEYS) - set(REFUSED)
    assert found.empty == ("empty",)
    assert {about.bytes for about in found.files.values()} == {1}
    root = root_of("s3://raw/odd")
    assert {name: found.place(root, name).read_bytes() for name in found.files} == dict.fromkeys(found.files, b"1")


def test_a_local_walk_takes_and_refuses_the_same_names_where_a_disk_can_hold_them(s3: S3, tmp_path: Path) -> None:
    for key in ["a.jpg", "deep/b c#%41é.jpg", "both/inner.jpg", "back\\slash.jpg"]:
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(b"1")
    s3.upload(tmp_path, "alike")
    near, far = listing.walk(tmp_path), listing.walk(root_of("s3://raw/alike"))
    assert set(near.files) == set(far.files) and near.refused == far.refused == {}


def test_an_archive_is_read_in_blocks_and_only_where_it_is_asked(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "BLOCK", 10)
    data = bytes(range(95))
    s3.client.put_object(Bucket=s3.bucket, Key="box/a.bin", Body=data)
    (place,) = root_of("s3://raw/box").iterdir()
    s3.gate.seen.clear()
    with place.open("rb") as file:
        assert file.seek(0, 2) == 95
        assert s3.fetched() == []
        file.seek(88)
        assert file.read() == data[88:] and file.tell() == 95
        assert len(s3.fetched()) == 2
        file.seek(3)
        assert file.read(4) == data[3:7]
        with pytest.raises(ValueError, match="before the beginning"):
            file.seek(-1)


@pytest.mark.parametrize("size", [95, 40, 200])
def test_an_object_that_is_not_what_was_listed_is_not_read(s3: S3, size: int) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="late/a.bin", Body=b"x" * 95)
    (place,) = root_of("s3://raw/late").iterdir()
    s3.client.put_object(Bucket=s3.bucket, Key="late/a.bin", Body=b"y" * size)
    with pytest.raises(UnreadableMedia, match=CHANGED), place.open("rb") as file:
        file.read()


SECRETS = [
    "s3://AKIA:hunter2@bucket/data", "s3://hunter2@bucket", "s3://bucket/data?X-Amz-Signature=hunter2", "s3://bucket/a#hunter2",
    "HTTPS://user:hunter2@host/data",
]  # fmt: skip


@pytest.mark.parametrize("data", SECRETS)
def test_an_address_with_a_secret_is_refused_and_not_repeated(data: str, tmp_path: Path, mmidd: Run) -> None:
    said = mmidd("build", "sample", "--data", data, "--out", str(tmp_path / "out"))
    assert said.code == 2 and "give credentials as the store's library reads them" in " ".join(said.err.split())
    assert "hunter2" not in said.err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", ["s3://", "s3://bucket//x", "s3://bucket/../x", "zip://a::s3://bucket/b.zip", "s3://b/\n"])
def test_an_address_that_is_none_is_refused(data: str) -> None:
    with pytest.raises(UsageError, match=r"s3://bucket/folder"):
        address(data)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("s3://bucket/data/", "s3://bucket/data"), ("S3://bucket", "s3://bucket"), ("memory://x", "memory://x"),
        ("file:///a b/c", Path("/a b/c")), ("plain/folder", Path("plain/folder")), ("s3:/x", Path("s3:/x")),
    ],
)  # fmt: skip
def test_what_data_names(data: str, found: str | Path) -> None:
    assert address(data) == found


@pytest.mark.parametrize("option", ["--out", "--work"])
def test_work_and_corpus_stay_on_a_disk(option: str, tmp_path: Path, mmidd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"--data": "data", "--out": "out", option: "s3://bucket/x"}
    (tmp_path / "data").mkdir()
    said = mmidd("build", "sample", *(word for pair in places.items() for word in pair))
    assert said.code == 2 and "only raw data may lie in an object store" in " ".join(said.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_protocol_without_its_package_is_named() -> None:
    with pytest.raises(MissingExtra, match=r"gcsfs.*mmidd\[remote\]"):
        list(root_of("gs://bucket/x").iterdir())
    with pytest.raises(UsageError, match="no such protocol"):
        list(root_of("nope://bucket/x").iterdir())


@pytest.mark.parametrize("package", ["s3fs", "fsspec"])
def test_what_is_not_installed_is_named(package: str, tmp_path: Path) -> None:
    words = ["build", "sample", "--data", "s3://bucket/x", "--out", str(tmp_path / "out")]
    code = f"import sys; sys.modules[{package!r}] = None\nfrom mmidd.cli import main; main({words!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "pip install 'mmidd[remote]'" in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "bucket", "told"),
    [
        ({}, "nowhere", r"there is nothing at s3://nowhere/data: no such bucket or folder \(NoSuchBucket\)"),
        ({}, "raw/nothing", "there is nothing at s3://raw/nothing/data"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "raw", r"cannot be read \(EndpointConnectionError\)"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}, "raw",
         r"cannot be read \(NoCredentialsError\)"),
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_had_stops_a_build_with_one_message(
    environment: dict[str, str | None], bucket: str, told: str, s3: S3, tmp_path: Path, mmidd: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    said = mmidd("build", "sample", "--data", f"s3://{bucket}/data", "--out", str(tmp_path / "out"))
    message = " ".join(said.err.split())
    assert said.code == 1 and re.search(told, message), message
    assert "AWS_ENDPOINT_URL" in message and "SENTINEL" not in message


def test_bad_credentials_are_told_by_the_stores_own_word(s3: S3, tmp_path: Path, mmidd: Run) -> None:
    s3.gate.answer = lambda request: ("403 Forbidden", "SignatureDoesNotMatch")
    said = mmidd("build", "sample", "--data", "s3://raw/data", "--out", str(tmp_path / "out"))
    assert said.code == 1 and "access to s3://raw/data is denied (SignatureDoesNotMatch)" in " ".join(said.err.split())
    assert "SENTINEL" not in said.err


def test_a_place_is_shown_and_joined_as_a_path_is() -> None:
    root = root_of("s3://bucket/data")
    assert isinstance(root, RemotePath)
    assert str(root / "a" / "b.mp4") == "s3://bucket/data/a/b.mp4" and (root / "a" / "b.mp4").name == "b.mp4"
    assert root.name == "data" and root.is_dir()


def test_a_store_that_hangs_is_one_that_cannot_be_reached(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="slow/a.bin", Body=b"x" * 95)
    (place,) = root_of("s3://raw/slow").iterdir()
    monkeypatch.setattr(store, "PATIENCE_S", 0.2)
    s3.gate.answer = lambda request: time.sleep(2)
    with pytest.raises(DataError, match=r"s3://raw/slow cannot be read \(FSTimeoutError\)"):
        place.read_bytes()
    assert len(s3.fetched()) >= 1


def test_litter_among_objects_is_counted_and_not_listed() -> None:
    info = {"size": 5, "ETag": "1"}
    names = ["a/000.png", "a/._000.png", ".git/x", "b/.DS_Store", "@eaDir/y", "@eaDir/"]
    found = store.Remote("memory://x")._sorted_out({name: {**info, "size": 0 if name[-1] == "/" else 5} for name in names})
    assert (set(found.objects), found.refused, found.litter, found.empty) == ({"a/000.png"}, {}, 4, ())
