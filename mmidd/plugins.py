"""Everything that can be chosen by name, of mmidd and of other installed packages (docs/plugins.md)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mmidd.captions.registry import CAPTIONERS
from mmidd.detectors.explain.rewards.registry import REWARDS
from mmidd.detectors.registry import REFERENCE_DETECTORS
from mmidd.faces.registry import DETECTORS
from mmidd.manifest.folders import DATASETS
from mmidd.registry import Listed, Registry
from mmidd.results import Result
from mmidd.share.export.protocol import EXPORTERS
from mmidd.share.imports.protocol import IMPORTERS
from mmidd.show import data as show
from mmidd.video.registry import DECODERS

if TYPE_CHECKING:
    from rich.console import Console

REGISTRIES: tuple[Registry[Any], ...] = (
    DETECTORS, CAPTIONERS, DECODERS, DATASETS, EXPORTERS, IMPORTERS, REFERENCE_DETECTORS, REWARDS,
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Plugins(Result):
    """Everything that can be chosen by name, here and now."""

    rows: tuple[Listed, ...]

    def tell(self, console: Console) -> None:
        show.plugins(console, self)

    def document(self) -> dict[str, Any]:
        return {"plugins": [asdict(row) for row in self.rows]}


def plugins() -> Plugins:
    """Every row of every registry; none is imported."""
    return Plugins(tuple(row for registry in REGISTRIES for row in registry.listed()))
