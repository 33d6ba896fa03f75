"""Every engine, fit for a test: real workers, real jobs of submitit on this machine, a real Ray cluster of two nodes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mmidd.engine.local import Inline, Local
from mmidd.engine.needs import Needs
from mmidd.engine.ray import Ray
from mmidd.engine.slurm import Settings, Slurm
from mmidd.engine.units import Resources

TESTS = Path(__file__).parents[2]
MODULES = {"ray": "ray", "slurm": "submitit"}
LONG = bool(os.environ.get("MMIDD_CLUSTER"))
"""The long form: `make cluster`."""
SHORT = ("test_records_and_bytes_are_the_same", "test_a_node_that_is_killed_in_mid_work", "test_no_worker_imports")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Starting clusters and jobs takes minutes: `make test` sees that bytes are the same and that a node may die."""
    here = Path(__file__).parent
    far = [
        item
        for item in items
        if item.path.is_relative_to(here) and (item.path.name != "test_engines.py" or any(n in item.name for n in MODULES))
    ]
    left = [] if LONG else [item for item in far if not item.name.startswith(SHORT)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@dataclass
class Cluster:
    """A Ray cluster on this machine: a head node and one more, of one CPU each."""

    of_ray: Any
    address: str
    second: Any

    def kill_second(self) -> None:
        """As a machine that loses power: nothing is told to anybody."""
        self.of_ray.remove_node(self.second, allow_graceful=False)

    def bring_second(self) -> None:
        self.second = self.of_ray.add_node(num_cpus=1)


@pytest.fixture(scope="session")
def reachable() -> Iterator[None]:
    """Workers in other processes find the modules of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")])))
        yield


@pytest.fixture(scope="session")
def cluster(reachable: None) -> Iterator[Cluster]:
    """Started once, with a token of its own, and quick to notice that a node is dead."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else its workers wait for whatever else this machine does
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        from ray.cluster_utils import Cluster as RayCluster

        quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
        made = RayCluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": quick})
        try:
            yield Cluster(made, made.address, made.add_node(num_cpus=1))
        finally:
            made.shutdown()


@pytest.fixture(scope="session")
def ray_engine(cluster: Cluster) -> Iterator[Ray]:
    """One for all tests that need nothing special of it: each leaves it fit for the next."""
    engine = Ray(cluster.address, 2, 0.0, Needs.here(Resources(), []))
    yield engine
    engine.close()


@dataclass
class Engines:
    """Makes engines, and closes them at the end. `needs` changes what workers elsewhere must find."""

    request: pytest.FixtureRequest
    made: list[Any] = field(default_factory=list)

    def make(self, name: str, needs: Needs | None = None, **options: Any) -> Any:
        module = MODULES.get(name)
        if module is not None and find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
        if name == "ray" and needs is None and not options:
            return self.request.getfixturevalue("ray_engine")
        engine = self._new(name, needs or Needs.here(Resources(), []), options)
        self.made.append(engine)
        return engine

    def _new(self, name: str, needs: Needs, options: dict[str, Any]) -> Any:
        if name == "inline":
            return Inline()
        if name == "local":
            return Local(2, Resources())
        if name == "ray":
            self.request.getfixturevalue("ray_engine").close()  # its workers have all the CPUs there are
            address = self.request.getfixturevalue("cluster").address
            return Ray(address, options.pop("workers", 2), options.pop("gpus", 0.0), needs, **options)
        return Slurm(Settings("local", **{"jobs": 1, **options}), 1, needs, poll=0.1)


@pytest.fixture
def engines(reachable: None, request: pytest.FixtureRequest) -> Iterator[Engines]:
    found = Engines(request)
    yield found
    for engine in found.made:
        engine.close()
