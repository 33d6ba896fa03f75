"""Media in, verdicts out: scores are those of a corpus built of them, what cannot be judged is said, nothing is lost."""

from __future__ import annotations

import csv
import io
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from conftest import Place, Said
from evaluation.made import Clip, made
from PIL import Image
from video.makers import Recipe, write_clip

import mmidd as api
from mmidd.corpus.read import Corpus
from mmidd.errors import RunError, UsageError
from mmidd.scores.file import write
from mmidd.scoring.function import opened_function
from mmidd.scoring.score import score
from mmidd.verdicts.result import Detected
from verdicts.models import Clips

Run = Callable[..., Said]
MODELS = Path(__file__).parent / "models.py"
SHADE = f"python:{MODELS}:shade"


def detect(paths: Any, place: Place, **more: Any) -> Detected:
    given: dict[str, Any] = {"model": SHADE, "corpus": place.out, "workers": 0, **more}
    return api.detect(paths, **given)


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A score file of the function, from which everything over 0.3 is called fake."""
    path = tmp_path_factory.mktemp("rates") / "scores.parquet"
    clips = [Clip(str(n), n % 2 == 1, [0.6 if n % 2 else 0.0], split="validation") for n in range(20)]
    write(path, made(clips, model=dict(opened_function(SHADE, ()).about)))
    return path


def _raw(place: Place) -> dict[str, Path]:
    """The raw files of the corpus's reals, by (slug-free) name: a fake is cut where its real is, and so by another rule."""
    media = Corpus(place.out).media.to_pylist()
    names = {row["media"] for row in media if row["label"] == "real" and row["frames_ok"]}
    found = {
        name: path for name in names for path in place.data.rglob(name.rpartition("/")[2]) if str(path).endswith(f"/{name}")
    }
    assert found
    return found


def test_scores_and_crops_are_those_of_the_corpus_that_is_built_from_the_media(small: Place) -> None:
    corpus, files = Corpus(small.out), _raw(small)
    whole = score(opened_function(SHADE, ()), corpus, tuple(corpus.splits)).level("frame")
    found = {each.shown: each for each in detect(list(files.values()), small).verdicts}
    kinds = set()
    for name, path in files.items():
        rows = whole.filter(pc.and_(pc.equal(whole["media"], name), pc.equal(whole["face"], 0))).to_pylist()
        if not rows:  # its pixels are in the corpus under another name
            continue
        track = found[str(path)].tracks[0]
        assert [(look.frame, look.score) for look in track.looks] == [(row["frame"], row["score"]) for row in rows]
        assert found[str(path)].score == max(each.score or 0 for each in found[str(path)].tracks)
        kinds.add(found[str(path)].kind)
    assert kinds == {"image", "video"}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_archive_a_folder_and_the_file_itself_give_the_same(small: Place, tmp_path: Path, workers: int) -> None:
    files = sorted(_raw(small).values())
    video = next(path for path in files if path.suffix == ".mp4")
    image = next(path for path in files if path.suffix != ".mp4")
    (tmp_path / "folder").mkdir()
    for path in (video, image):
        shutil.copy(path, tmp_path / "folder" / path.name)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        for path in (video, image):
            zipped.write(path, path.name)
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as packed:  # type: ignore[call-overload]
            for path in (video, image):
                packed.add(path, path.name)
    found = detect([tmp_path], small, workers=workers)
    scores: dict[str, set[Any]] = {}
    for each in found.verdicts:
        scores.setdefault(Path(each.shown).name, set()).add((each.score, each.sha256, each.state))
    assert len(found.verdicts) == 8 and {len(each) for each in scores.values()} == {1} and found.complete


def test_what_cannot_be_judged_is_said_and_the_others_go_on(small: Place, tmp_path: Path, mmidd: Run) -> None:
    image = next(path for path in sorted(_raw(small).values()) if path.suffix != ".mp4")
    shutil.copy(image, tmp_path / "good.jpg")
    write_clip(tmp_path, Recipe("nobody.mp4", frames=12))
    (tmp_path / "broken.mp4").write_bytes((tmp_path / "nobody.mp4").read_bytes()[:900])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.mp4").write_text("<!doctype html><html>")
    (tmp_path / "big.png").write_bytes(_png(60_000, 60_000))
    (tmp_path / "x\n\x1b[31m<script>.jpg").write_bytes(b"no image")
    words = ["detect", str(tmp_path), "--model", SHADE, "--corpus", str(small.out), "--workers", "0"]
    said = mmidd(*words, "--json")
    assert said.code == 3
    found = {Path(each["path"]).name: each for each in said.document["media"]}
    assert {name: each["state"] for name, each in found.items()} == {
        "good.jpg": "judged", "nobody.mp4": "no face", "broken.mp4": "failed", "empty.jpg": "failed", "page.mp4": "failed",
        "big.png": "failed", "x\n\x1b[31m<script>.jpg": "failed",
    }  # fmt: skip
    assert found["nobody.mp4"]["reason"] == "no face: nothing was judged"
    assert found["nobody.mp4"]["frames_not_used"] == {"no_face": 2} and found["nobody.mp4"]["frames_planned"] == 2
    assert "HTML page" in found["page.mp4"]["reason"] and "pixels" in found["big.png"]["reason"]
    plain = mmidd(*words)
    assert plain.code == 3 and "\x1b" not in plain.out and "1 judged" in plain.out


def _png(width: int, height: int) -> bytes:
    """Declares more pixels than are ever decoded."""
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def test_no_word_is_said_without_its_error_rates(small: Place, rates: Path, mmidd: Run, tmp_path: Path) -> None:
    files = [str(path) for path in sorted(_raw(small).values())[:3]]
    words = ["detect", *files, "--model", SHADE, "--corpus", str(small.out), "--workers", "0"]
    bare = mmidd(*words)
    assert bare.code == 0 and "no verdict: " in bare.out and not re.search(r"\d  (fake|real)\b", bare.out)
    assert {each["verdict"] for each in mmidd(*words, "--json").document["media"]} == {None}
    told = mmidd(*words, "--rates", str(rates), "--csv", str(tmp_path / "x.csv"), "--out", str(tmp_path / "pages"))
    verdicts = re.findall(r"^\d\.\d+  (?:fake|real) .*", told.out, re.MULTILINE)
    assert len(verdicts) == 3 and all("errs on 0% of reals, finds 100% of fakes" in line for line in verdicts)
    assert "10 real and 10 fake validation clips of made" in told.out
    for each in mmidd(*words, "--rates", str(rates), "--json").document["media"]:
        assert each["verdict"]["false_positive"]["value"] == 0.0 and each["verdict"]["word"] in ("fake", "real")
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert all(row["false_positive_rate"] == "0.0" for row in rows if row["verdict"])
    for page in (tmp_path / "pages" / "media").iterdir():
        assert "of the reals are called fake" in page.read_text()


def _lit(light: float, value: int) -> int:
    return round(value * light)


def test_several_faces_are_all_judged_and_the_most_suspicious_one_decides(small: Place, rates: Path, tmp_path: Path) -> None:
    with Image.open(next(path for path in sorted(_raw(small).values()) if path.suffix != ".mp4")) as opened:
        face = opened.convert("RGB")
    several = Image.new("RGB", (2 * face.width, 2 * face.height))
    for number, light in enumerate((1.0, 0.9, 0.8, 0.7)):
        place = (number % 2 * face.width, number // 2 * face.height)
        several.paste(Image.eval(face, partial(_lit, light)), place)
    several.save(tmp_path / "four.png")
    found = detect(tmp_path / "four.png", small, rates=rates)
    (verdict,) = found.verdicts
    scores = [track.score for track in verdict.tracks]
    assert len(scores) >= 4 and verdict.score == max(scores) and verdict.worst  # type: ignore[type-var]
    assert f"{len(scores)} faces were judged" in str(found)


def test_numbered_images_are_one_clip_and_animations_their_first_picture(small: Place, tmp_path: Path) -> None:
    image = next(path for path in sorted(_raw(small).values()) if path.suffix != ".mp4")
    (tmp_path / "clip").mkdir()
    for number in range(5):
        shutil.copy(image, tmp_path / "clip" / f"{number:04}{image.suffix}")
    with Image.open(image) as opened:
        opened.convert("RGB").save(tmp_path / "moving.webp", save_all=True, append_images=[Image.new("RGB", opened.size)])
    clip, moving = detect([tmp_path / "clip", tmp_path / "moving.webp"], small).verdicts
    assert clip.kind == "frames" and (clip.planned, clip.used) == (2, 2) and "5 numbered images" in clip.notes[0]
    assert "first of its 2 pictures" in moving.notes[0]
    assert len(detect(tmp_path / "clip", small, stills=True).verdicts) == 5


def test_pages_show_everything_and_run_nothing(small: Place, rates: Path, tmp_path: Path) -> None:
    files = sorted(_raw(small).values())
    video = next(path for path in files if path.suffix == ".mp4")
    image = next(path for path in files if path.suffix != ".mp4")
    evil = tmp_path / "<script>alert(1)<&\"'>.jpg"
    shutil.copy(image, evil)
    out = tmp_path / "pages"
    found = detect([video, evil], small, rates=rates, out=out, region=True, csv=tmp_path / "x.csv")
    texts = {path.name: path.read_text() for path in out.rglob("*.html")}
    assert set(texts) == {"index.html", "00001.html", "00002.html"}
    for text in texts.values():
        assert (
            "<script" not in text
            and "default-src 'none'" in text
            and not re.search(r"(src|href)=\"(?!data:|media/|\.\./)", text)
        )
    pages = {verdict.shown: texts[Path(str(verdict.page)).name] for verdict in found.verdicts}
    assert "Score over time" in pages[str(video)] and "<polyline" in pages[str(video)] and "threshold" in pages[str(video)]
    assert "The picture" in pages[str(evil)] and "occlusion 7x7, grey" in pages[str(evil)] and "no proof" in pages[str(evil)]
    (region,) = found.verdicts[1].regions
    assert region["method"] == "occlusion 7x7, grey" and len(region["falls"]) == 7
    with pytest.raises(UsageError, match="not empty"):
        detect(evil, small, out=out)
    with pytest.raises(UsageError, match="is there already"):
        detect(evil, small, csv=tmp_path / "x.csv")


def test_a_csv_has_a_row_a_clip_and_a_row_a_face_and_no_formula(
    small: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next(path for path in sorted(_raw(small).values()) if path.suffix != ".mp4")
    shutil.copy(image, tmp_path / "=cmd()\n.jpg")
    monkeypatch.chdir(tmp_path)
    detect("=cmd()\n.jpg", small, csv="x.csv", model=f"python:{MODELS}:kinds")
    rows = list(csv.DictReader((tmp_path / "x.csv").open(newline="")))
    assert [row["level"] for row in rows] == ["clip", "track"] and {row["path"] for row in rows} == {"./=cmd()?.jpg"}
    assert {row["if_forged"] for row in rows} == {"FR"} and rows[0]["score"] == "0.5"


def test_types_are_told_as_what_it_would_be_were_it_forged(small: Place) -> None:
    image = next(path for path in sorted(_raw(small).values()) if path.suffix != ".mp4")
    found = detect(image, small, model=f"python:{MODELS}:kinds")
    assert found.document()["media"][0]["if_forged"] == {"type": "FR", "share": pytest.approx(0.6)}
    assert "if forged, by face reenactment (60%)" in str(found)


def test_the_region_is_where_the_score_falls(small: Place) -> None:
    image = next(path for path in sorted(_raw(small).values()) if path.suffix != ".mp4")
    (verdict,) = detect(image, small, model=f"python:{MODELS}:corner", region=True).verdicts
    falls = verdict.regions[0]["falls"]
    assert falls[0][0] != 0 and all(fall == 0 for row in range(7) for fall in falls[row][1:] if row)


@pytest.mark.parametrize(("frames", "state"), [(2, "judged"), (3, "failed")])
def test_a_model_of_clips_judges_windows_and_says_where_a_medium_is_too_short(small: Place, frames: int, state: str) -> None:
    video = next(path for path in sorted(_raw(small).values()) if path.suffix == ".mp4")
    found = detect(video, small, model=Clips(frames), region=True)
    (verdict,) = found.verdicts
    assert verdict.state == state and found.complete == (state == "judged")
    if state == "failed":
        assert "3 frames in a row" in str(verdict.reason)
    else:
        assert len({look.score for look in verdict.tracks[0].looks}) == 1


def test_a_model_that_does_not_say_how_faces_were_taken_needs_a_corpus(small: Place) -> None:
    image = sorted(_raw(small).values())[0]
    with pytest.raises(UsageError, match="--corpus CORPUS"):
        api.detect(image, model=SHADE, workers=0)


@pytest.mark.parametrize(
    ("lay", "error"),
    [
        (lambda path: path.mkdir(), RunError),
        (lambda path: path.write_bytes(b"no model"), UsageError),
        (lambda path: path.with_suffix(".onnx").write_bytes(b"no model"), api.MmiddError),
    ],
)
def test_what_is_no_model_is_an_error_before_media_are_read(
    small: Place, tmp_path: Path, lay: Callable[[Path], object], error: type[Exception]
) -> None:
    lay(tmp_path / "m")
    named = tmp_path / ("m" if (tmp_path / "m").exists() else "m.onnx")
    with pytest.raises(error):
        api.detect(sorted(_raw(small).values())[0], model=str(named), corpus=small.out, workers=0)


def test_many_images_are_scored_together_and_all_come_back_in_order(small: Place, tmp_path: Path) -> None:
    image = next(path for path in sorted(_raw(small).values()) if path.suffix != ".mp4")
    with Image.open(image) as opened:
        little = opened.convert("RGB")
    for number in range(40):
        little.save(tmp_path / f"{chr(97 + number % 26)}{number}x.jpg", quality=60 + number)
    found = detect(tmp_path, small)
    assert len(found.verdicts) == 40 and [each.shown for each in found.verdicts] == sorted(
        each.shown for each in found.verdicts
    )
    assert found.speed.faces == 40 and found.speed.media == 40 and "40 faces" in str(found)


def test_a_folder_of_many_endings_is_told_in_a_line_that_ends(small: Place, tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.x{number}").write_bytes(b"")
    found = detect([tmp_path], small)
    assert len(found.document()["other_files"]) == 300
    assert "280 more endings" in str(found) and len(str(found)) < 1500
