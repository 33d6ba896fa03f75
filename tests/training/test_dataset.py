"""Any row as a sample, here and in workers, from a folder and the Hub; what cannot be read is named or set aside."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from corpus import made
from corpus.served import serve
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import RandomHorizontalFlip

from mmidd.corpus import pictures
from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, UsageError
from mmidd.training import blend as blending
from mmidd.training.augment import Augment, Brightness, Flip
from mmidd.training.batch import Skipped, collate
from mmidd.training.dataset import CorpusDataset
from mmidd.training.draws import Draw
from mmidd.training.loader import Loader
from mmidd.training.sample import Sample
from mmidd.training.samplers import ShuffleSampler
from training import corpora

WRITTEN = [made.row(shard, number) for shard in sorted(made.SHARDS) for number in range(made.ROWS)]
FIRST = "data/test-gamma-00000-of-00001.parquet"
SAMPLED = ("label", "forgery_type", "landmarks", "row", "id", "pair", "group", "dataset", "method", "media", "frame",
           "face_caption", "timestamp", "sharpness")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that tests only read."""
    return made.corpus(tmp_path_factory.mktemp("made") / "corpus")


def _pixels(data: bytes) -> torch.Tensor:
    return torch.from_numpy(pictures.decoded(data, "x").copy()).permute(2, 0, 1)


def _same(found: Mapping[str, Any], want: Mapping[str, Any]) -> None:
    assert found.keys() == want.keys()
    for key, value in want.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(found[key], value, equal_nan=True, rtol=0, atol=0)
        else:
            assert found[key] == value or (value != value and found[key] != found[key]), key


def test_a_sample_is_its_row(folder: Path) -> None:
    data = CorpusDataset(folder, columns=SAMPLED, mask=True)
    assert len(data) == len(WRITTEN)
    for number in np.random.default_rng(0).permutation(len(data)).tolist():
        row = WRITTEN[number]
        mask = row["mask"]
        _same(data[number], {
            "image": _pixels(row["image"]), "label": row["label"],
            "forgery_type": -1 if row["forgery_type"] is None else row["forgery_type"],
            "landmarks": torch.full((5, 2), float("nan")), "row": number, "id": row["id"], "pair": "", "group": row["group"],
            "dataset": row["dataset"], "method": row["method"] or "", "media": row["media"], "frame": row["frame"],
            "face_caption": row["face_caption"] or "",
            "timestamp": float("nan") if row["timestamp"] is None else row["timestamp"],
            "sharpness": row["sharpness"], "has_mask": int(mask is not None or not row["label"]),
            "mask": _pixels(mask)[:1] if mask else torch.zeros((1, 8, 10), dtype=torch.uint8),
        })  # fmt: skip


def test_only_what_is_asked_for_is_in_a_sample(folder: Path) -> None:
    assert set(CorpusDataset(folder)[3]) == {"image", "label", "forgery_type", "id", "row"}
    assert set(CorpusDataset(folder, columns=())[3]) == {"image"}
    assert set(CorpusDataset(folder, columns=("frame",), mask=True)[3]) == {"image", "frame", "mask", "has_mask"}
    found = CorpusDataset(folder, image="encoded", columns=("landmarks",))[3]
    assert set(found) == {"encoded", "landmarks"} and found["encoded"] == WRITTEN[3]["image"]


def test_landmarks_come_with_the_crop(tmp_path: Path) -> None:
    def change(_: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["landmarks"] = [[10.0 + place, 20.0] for place in range(5)]
            row["transform"] = [0.5, 0.0, -4.0, 0.0, 0.25, 1.0]
        rows[1]["transform"] = None

    folder = made.corpus(tmp_path / "corpus", change)
    want = np.array([[(10 + place) / 2 - 4, 20 / 4 + 1] for place in range(5)])
    plain = CorpusDataset(folder, columns=("landmarks",))
    np.testing.assert_allclose(plain[0]["landmarks"], want)
    assert plain[0]["landmarks"].dtype == torch.float32 and plain[1]["landmarks"].isnan().all()
    sized = CorpusDataset(folder, columns=("landmarks",), size=16, fit="stretch")[0]
    np.testing.assert_allclose(sized["landmarks"], (want + 0.5) * [16 / 10, 16 / 8] - 0.5, rtol=1e-6)
    assert sized["image"].shape == (3, 16, 16)


def test_rows_are_selected_and_positions_are_within_them(folder: Path) -> None:
    data = CorpusDataset(folder, split="train", where={"dataset": "Beta"})
    want = [number for number, row in enumerate(WRITTEN) if row["media"].startswith("train-beta")]
    assert [data[place]["row"] for place in range(len(data))] == want and data[-1]["row"] == want[-1]
    assert data[Draw(0, 0)]["id"] == WRITTEN[0]["id"]  # a draw names rows of the corpus
    with pytest.raises(IndexError):
        data[len(data)]
    assert len(CorpusDataset(Corpus(folder).part("test"))) == 7


def _brighter(sample: Sample, chance: np.random.Generator) -> Sample:
    sample["image"] = sample["image"] // 2 + int(chance.integers(0, 100))
    return sample


@pytest.mark.parametrize("given", [None, []])
def test_a_transform_that_gives_no_sample_is_told(folder: Path, given: Any) -> None:
    data = CorpusDataset(folder, size=8, transform=lambda sample, chance: given if sample["row"] == 2 else sample)
    assert len(data.__getitems__([0, 1])) == 2
    with pytest.raises(UsageError, match=f"the transform gave {type(given).__name__} for a sample"):
        data.__getitems__([1, 2, 3])


def test_a_batch_comes_in_the_order_that_was_asked_for_and_one_seed_draws_once(folder: Path) -> None:
    data = CorpusDataset(folder, transform=_brighter)
    draws = [Draw(20, 5), Draw(3, 6), Draw((9, 2, 9), 5), Draw(3, 6), Draw(3, 7)]
    found: list[Any] = data.__getitems__(draws)
    for draw, sample in zip(draws, found, strict=True):
        _same(sample, data[draw])
    alone = [CorpusDataset(folder)[row] for row in (20, 9)]
    assert found[2]["image"].shape == (3, 3, 8, 10) and found[2]["row"].tolist() == [9, 2, 9]
    assert found[2]["id"] == [WRITTEN[row]["id"] for row in (9, 2, 9)]
    added = int(np.random.default_rng(5).integers(0, 100))
    for changed, plain in (
        (found[0]["image"], alone[0]),
        (found[2]["image"][0], alone[1]),
        (found[2]["image"][2], alone[1]),
    ):
        assert torch.equal(changed, plain["image"] // 2 + added)
    assert torch.equal(found[1]["image"], found[3]["image"]) and not torch.equal(found[1]["image"], found[4]["image"])


def test_a_real_is_blended_where_that_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def blend(sample: Sample, chance: np.random.Generator) -> Sample:
        assert sample["landmarks"].shape == (5, 2) and sample["mask"].shape == (1, 8, 10)
        return {**sample, "image": 255 - sample["image"], "label": 1, "blended": 1, "mask": sample["mask"] + 255}

    monkeypatch.setattr(blending, "blend", blend)
    for mask in (False, True):
        data = CorpusDataset(folder, mask=mask)
        batch = collate(data.__getitems__([Draw(2, 1), Draw(2, 1, blend=True)]))
        assert batch["blended"].tolist() == [0, 1] and batch["label"].tolist() == [0, 1] and "landmarks" not in batch
        assert torch.equal(batch["image"][0], 255 - batch["image"][1])
        assert (batch["mask"].amax((1, 2, 3)).tolist() == [0, 255]) if mask else "mask" not in batch
    with pytest.raises(UsageError, match="cannot be blended"):
        CorpusDataset(folder, image="encoded")[Draw(2, 1, blend=True)]


def test_a_row_that_cannot_be_blended_is_named_or_set_aside(folder: Path) -> None:
    with pytest.raises(CorpusError, match="row 2 cannot be blended"):  # it has no landmarks
        CorpusDataset(folder)[Draw(2, 1, blend=True)]
    assert isinstance(CorpusDataset(folder, on_error="skip")[Draw(2, 1, blend=True)], Skipped)


def test_opening_and_selecting_by_name_opens_no_shard(folder: Path, tmp_path: Path) -> None:
    copy = made.corpus(tmp_path / "corpus")
    for shard in (copy / "data").iterdir():
        shard.unlink()
    assert len(CorpusDataset(copy)) == 28 and len(CorpusDataset(copy, split="train", where={"dataset": "alpha"})) == 7
    with pytest.raises(CorpusError, match=f"{FIRST} is not there any more"):
        CorpusDataset(copy, on_error="skip")[0]


def test_from_the_hub_it_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = CorpusDataset(folder, mask=True)
    with serve(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        there = CorpusDataset(f"hf://datasets/{hub.repo}", mask=True)
        for place in (0, 27, 9, 1):
            _same(there[place], here[place])
        [batch] = DataLoader(
            there, batch_sampler=[[9, 1]], collate_fn=collate, num_workers=1, multiprocessing_context="fork"
        )
        _same(batch, collate([here[9], here[1]]))


@pytest.mark.parametrize("start", ("fork", "spawn"))
def test_workers_give_what_one_process_gives(start: str, folder: Path) -> None:
    data = CorpusDataset(folder, columns=SAMPLED, mask=True, size=8)
    data[0]  # files are open when workers begin
    order = np.random.default_rng(1).permutation(28).reshape(4, 7).tolist()
    alone = list(DataLoader(data, batch_sampler=order, collate_fn=collate))
    both = list(DataLoader(data, batch_sampler=order, collate_fn=collate, num_workers=2, multiprocessing_context=start))
    assert len(alone) == len(both) == 4 and both[0]["image"].is_shared() and not alone[0]["image"].is_shared()
    for mine, theirs in zip(alone, both, strict=True):
        _same(theirs, mine)
        assert theirs["image"].is_contiguous(memory_format=torch.channels_last)


def test_what_it_holds_is_not_sent_to_others(folder: Path) -> None:
    data = CorpusDataset(folder)
    before = len(pickle.dumps(data))
    for place in range(28):
        data[place]
    assert len(pickle.dumps(data)) == before
    _same(pickle.loads(pickle.dumps(data))[5], data[5])  # noqa: S301


def _damaged(_: str, rows: list[dict[str, Any]]) -> None:
    rows[2]["image"] = rows[2]["image"][:40]
    rows[4]["image"] = b"none"


def test_a_row_that_cannot_be_read_is_named_or_set_aside(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus", _damaged)
    data = CorpusDataset(folder)
    with pytest.raises(
        CorpusError, match=rf"row 2 cannot be decoded .*; it is sample {WRITTEN[2]['id']} in {FIRST}; on_error"
    ):
        data[2]
    patient = CorpusDataset(folder, on_error="skip")
    lost = patient[2]
    assert (
        isinstance(lost, Skipped) and (lost.unit, lost.row, lost.id) == (2, 2, WRITTEN[2]["id"]) and "row 2" in lost.reason
    )
    draws = [Draw(0, 0, 1), Draw(2, 0, 2), Draw(3, 0, 2), Draw((5, 4), 0, 3), Draw(6, 0, 4)]
    batch = collate(patient.__getitems__(draws))
    assert batch["row"].tolist() == [0, 6] and [(each.unit, each.row) for each in batch["skipped"]] == [(2, 2), (3, 4)]


def test_a_shard_that_changes_is_an_error_where_rows_are_skipped_too(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus", _damaged)
    data = CorpusDataset(folder, on_error="skip")
    assert data[0]["row"] == 0
    path = folder / FIRST
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").replace(path)
    with pytest.raises(CorpusError, match=f"{FIRST} changed while"):
        data[2]


def _no_image(folder: Path) -> None:
    about, table = made.about(folder), pq.read_table(folder / FIRST)
    images = pa.array([None, *table["image"].to_pylist()[1:]], table.schema.field("image").type)
    table = table.set_column(table.schema.get_field_index("image"), table.schema.field("image"), images)
    pq.write_table(table, folder / FIRST)
    about["files"][FIRST] |= made.listed(folder / FIRST)
    made.sign(folder, about)


def test_a_row_without_an_image_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus")
    _no_image(folder)
    assert isinstance(CorpusDataset(folder, on_error="skip")[0], Skipped) and CorpusDataset(folder)[1]["row"] == 1
    with pytest.raises(CorpusError, match="row 0 has no image"):
        CorpusDataset(folder)[0]


def test_whole_images_of_other_shapes_need_a_size(tmp_path: Path) -> None:
    def change(_: str, rows: list[dict[str, Any]]) -> None:
        out = io.BytesIO()
        Image.new("RGB", (30, 12)).save(out, "PNG")
        rows[1]["image"], rows[1]["mask"] = out.getvalue(), None

    folder = made.corpus(tmp_path / "corpus", change)
    with pytest.raises(CorpusError, match="give size= to the dataset"):
        collate(CorpusDataset(folder).__getitems__([0, 1]))
    with pytest.raises(CorpusError, match="give size= to the dataset"):
        CorpusDataset(folder)[Draw((0, 1), 0)]
    assert collate(CorpusDataset(folder, size=16).__getitems__([0, 1]))["image"].shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"columns": "label"}, r"given as a list of names: \['label'\]"), ({"columns": ["lable"]}, "did you mean 'label'"),
        ({"columns": ["image"]}, "has image= for that"), ({"image": "bytes"}, "image='bytes'"),
        ({"columns": ["split"]}, "has split= for that"), ({"transform": [1]}, r"transform=list: .*Augment\(\[...\]\)"),
        ({"transform": RandomHorizontalFlip()}, "seeded"), ({"transform": lambda image: image}, "cannot be called so"),
        ({"on_error": "ignore"}, "on_error='ignore'"), ({"image": "encoded", "mask": True}, "as they are stored"),
        ({"image": "encoded", "size": 8}, "as they are stored"), ({"size": -1}, "size=-1"),
        ({"fit": "cover"}, "fit='cover'"),
        ({"split": "dev"}, "split 'dev'"), ({"where": {"dataset": "Delta"}}, "Delta"), ({"where": {"frame": 99}}, "no row"),
        ({"where": {"dataset": "Alpha"}, "split": "test"}, "no row.*gamma"), ({"fraction": 0}, "fraction=0"),
        ({"columns": None}, "given as a list of names"), ({"where": "label"}, "where='label': a mapping"),
        ({"where": {"dataset": 5}}, "dataset 5: unknown"), ({"where": {"frame": 1 << 80}}, "'frame' holds int32"),
        ({"fraction": "x"}, "fraction='x'"), ({"size": True}, "size=True"),
    ],
)  # fmt: skip
def test_a_wrong_question_says_what_is_wrong(words: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises((CorpusError, UsageError), match=message):
        CorpusDataset(folder, **words)


def test_a_row_that_the_corpus_does_not_have_and_a_clip_without_rows_are_told(folder: Path) -> None:
    with pytest.raises(CorpusError, match="has no row 28"):
        CorpusDataset(folder)[Draw(28, 0)]
    with pytest.raises(UsageError, match="a clip without rows"):
        CorpusDataset(folder)[Draw((), 0)]


def test_another_schema_version_is_told(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus")
    made.sign(folder, {**made.about(folder), "schema_version": 99})
    with pytest.raises(CorpusError, match="schema version 99"):
        CorpusDataset(folder)


def test_a_batch_is_decoded_where_it_lies(folder: Path) -> None:
    """Without a transform no JPEG is copied; images of other kinds, and rows left out, change nothing in the rest."""
    data = CorpusDataset(folder, columns=())
    jpegs = [number for number, row in enumerate(WRITTEN) if row["image"].startswith(b"\xff\xd8")]
    items: Any = data.__getitems__(jpegs)
    batch = collate(items)["image"]
    assert batch.untyped_storage().data_ptr() == items[0]["image"].untyped_storage().data_ptr()
    assert torch.equal(batch, torch.stack([_pixels(WRITTEN[number]["image"]) for number in jpegs]))
    assert torch.equal(collate([items[0], *items[2:]])["image"], batch[[0, *range(2, len(jpegs))]])
    mixed = collate(data.__getitems__([1, *jpegs]))["image"]
    assert torch.equal(mixed, torch.stack([_pixels(WRITTEN[1]["image"]), *batch]))
    sized = CorpusDataset(folder, size=24, columns=())
    assert torch.equal(collate(sized.__getitems__([5, 1]))["image"], torch.stack([sized[5]["image"], sized[1]["image"]]))


def test_what_is_drawn_for_a_sample_can_be_done_to_its_batch(tmp_path: Path) -> None:
    """`seed` is what a transform's chance is made of, also where a batch on a GPU is changed at once."""
    folder, augment = corpora.corpus_once(tmp_path / "corpus"), Augment([Flip(), Brightness(p=1)])
    draws = [Draw(row, seed) for row, seed in ((3, 5), (4, (1 << 64) - 9))]
    plain = collate(CorpusDataset(folder, columns=("seed",)).__getitems__(draws))
    single = collate(CorpusDataset(folder, columns=(), transform=augment).__getitems__(draws))
    assert torch.equal(augment.batch(plain["image"], plain["seed"]), single["image"])


def test_a_transform_sees_a_clip_as_a_whole(folder: Path) -> None:
    shapes = []

    def look(sample: Sample, chance: np.random.Generator) -> Sample:
        shapes.append(tuple(sample["image"].shape))
        return sample

    CorpusDataset(folder, transform=look)[Draw((2, 3, 4), 0)]
    assert shapes == [(3, 3, 8, 10)]


def test_a_state_is_of_its_pictures_too(tmp_path: Path) -> None:
    """Size and augmentations are of an epoch as its order is."""
    folder = corpora.corpus_once(tmp_path / "corpus")

    def loader(**options: Any) -> Loader:
        data = CorpusDataset(folder, **options)
        return Loader(data, ShuffleSampler(data, 8))

    state = loader(size=16, transform=Augment([Flip()])).state_dict()
    loader(size=16, transform=Augment([Flip()])).load_state_dict(state)
    with pytest.raises(CorpusError, match="size was 16, is 24"):
        loader(size=24, transform=Augment([Flip()])).load_state_dict(state)
    with pytest.raises(CorpusError, match=r"transform was .*, is None"):
        loader(size=16).load_state_dict(state)
