"""An ONNX graph as torch operations: how a graph becomes a list of calls of the functions in `torch_operators`.

Two kinds of values flow: numbers (float32 tensors on the device) and sizes (numpy, on the CPU). What is a size is settled
when the graph is read, so nothing waits for the device and a CUDA graph can be captured. An operator or an attribute that
is not there is an error then, never a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmidd.errors import MmiddError, check_memory, sanitised
from mmidd.networks import nodes
from mmidd.networks.network import Model, NetworkFault
from mmidd.networks.nodes import MOST_BETWEEN, MOST_SIZES, ON_SIZES, Array, Node, must
from mmidd.networks.torch_operators import ELEMENTWISE, OPERATORS, Function, joined

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Step:
    """One call: the places of its inputs and of its output, and which places are needed no more after it.

    shaped: a function of the same inputs on torch's device "meta", of which only the shape is right.
    """

    name: str
    function: Function
    shaped: Function
    inputs: tuple[int, ...]
    output: int
    drop: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A graph as calls on numbered places. `tensors`: constants on the device, `settings`: those that stay on the CPU."""

    name: str
    steps: tuple[Step, ...]
    places: int
    tensors: Mapping[int, Array]
    settings: Mapping[int, Array]
    dims: tuple[int | None, ...]
    outputs: tuple[int, ...]

    def on(self, device: str) -> Callable[[torch.Tensor], list[torch.Tensor]]:
        """The function of its input, place 0, on a device."""
        import torch

        start: list[Any] = [None] * self.places
        for place, array in self.settings.items():
            start[place] = array
        for place, array in self.tensors.items():
            start[place] = (
                torch.empty(array.shape, device=device) if device == "meta" else torch.tensor(array, device=device)
            )
        calls = [(each.function, each.inputs, each.output, each.drop) for each in self.steps]

        def run(data: torch.Tensor) -> list[torch.Tensor]:
            values = start.copy()
            values[0] = data
            del data
            for function, inputs, output, drop in calls:
                values[output] = function(*[values[place] for place in inputs])
                for place in drop:
                    values[place] = None
            return [values[place] for place in self.outputs]

        return run

    def measured(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The shapes of the outputs for an input of this one, found without computing a number.

        Raises NetworkFault where the graph does not take it, or where something between would be huge.
        """
        import torch

        fits = len(shape) == len(self.dims) and all(
            want in (None, got) for got, want in zip(shape[1:], self.dims[1:], strict=True)
        )
        if self.dims and not fits:
            raise NetworkFault(f"{self.name} takes no input of {shape}")
        run = replace(self, steps=tuple(self._watched(step) for step in self.steps)).on("meta")
        with torch.inference_mode():
            return [tuple(each.shape) for each in run(torch.empty(shape, device="meta"))]

    def _watched(self, step: Step) -> Step:
        def function(*values: Any) -> Any:
            try:
                found = step.shaped(*values)
            except (ValueError, TypeError, RuntimeError, IndexError, AttributeError, ArithmeticError) as error:
                check_memory(error)
                raise NetworkFault(f"{self.name} fails at {step.name}: {sanitised(str(error))}") from error
            size, most = (found.size, MOST_SIZES) if isinstance(found, np.ndarray) else (found.numel(), MOST_BETWEEN)
            if size > most:
                raise NetworkFault(f"{self.name} would need {size:,} numbers after {step.name}, at most {most:,} are taken")
            return found

        return replace(step, function=function)


def compiled(model: Model) -> Program:
    """Raises MmiddError for what is not known, which names it and the way out."""
    try:
        return _Compiler(model.name, nodes.read(model.onnx), model.outputs).program()
    except ValueError as error:
        raise MmiddError(
            f"torch cannot run {model.name}: {sanitised(str(error))}; "
            "let onnxruntime run it: --set detector.runtime=onnxruntime"
        ) from error


class _Compiler:
    """Where the values of a graph that is being compiled lie."""

    def __init__(self, name: str, graph: nodes.Graph, outputs: tuple[str, ...]) -> None:
        self._name, self._graph = name, graph
        self._constants = dict(graph.constants)
        self._numbers = {graph.input: 0}
        self._sizes: dict[str, int] = {}
        self._places = 1
        self._tensors: dict[int, Array] = {}
        self._settings: dict[int, Array] = {}
        self._laid: dict[tuple[str, bool], int] = {}
        self._steps: list[tuple[str, Function, Function, tuple[int, ...], int]] = []
        for node in graph.nodes:
            try:
                self._add(node)
            except (ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
                raise ValueError(f"{node.name}: {error}") from error
        missing = [each for each in outputs if each not in self._numbers]
        must(not missing and bool(outputs), f"it has no output {missing} of numbers")
        self._outputs = tuple(self._numbers[each] for each in outputs)

    def program(self) -> Program:
        last: dict[int, int] = {}
        for at, (*_, inputs, output) in enumerate(self._steps):
            last.update(dict.fromkeys((*inputs, output), at))
        kept = {*self._outputs, *self._tensors, *self._settings}
        drops: dict[int, list[int]] = {}
        for place, at in last.items():
            if place not in kept:
                drops.setdefault(at, []).append(place)
        steps = tuple(Step(*step, tuple(drops.get(at, ()))) for at, step in enumerate(self._steps))
        return Program(self._name, steps, self._places, self._tensors, self._settings, self._graph.dims, self._outputs)

    def _add(self, node: Node) -> None:
        given = [name for name in node.inputs if name]
        if node.kind == "Constant":
            self._constants[node.output] = nodes.constant(node)
        elif node.kind == "Shape":
            sizes = nodes.shape_of(node)
            if given[0] in self._constants:
                self._constants[node.output] = np.array(sizes(self._constants[given[0]]), np.int64)
            else:
                place = self._numbers.get(given[0], self._sizes.get(given[0], 0))
                self._step(node, lambda x: np.array(sizes(x), np.int64), (place,), self._sizes)
        elif node.kind in ON_SIZES and given and all(self._small(name) for name in given):
            found = ON_SIZES[node.kind](node)(*(self._constants[name] for name in given))
            must(found.size <= MOST_SIZES, f"known are sizes of at most {MOST_SIZES:,} numbers")
            self._constants[node.output] = found
        elif (
            node.kind in ON_SIZES
            and given
            and any(name in self._sizes for name in given)
            and not any(name in self._numbers for name in given)
        ):
            self._step(node, ON_SIZES[node.kind](node), tuple(self._setting(name) for name in given), self._sizes)
        else:
            self._on_device(node)

    def _small(self, name: str) -> bool:
        return name in self._constants and self._constants[name].size <= MOST_SIZES

    def _on_device(self, node: Node) -> None:
        if node.kind not in OPERATORS:
            raise ValueError("the operator is not known")
        make, settings = OPERATORS[node.kind]
        inputs = tuple(self._setting(name) if at in settings else self._number(name) for at, name in enumerate(node.inputs))
        self._step(node, make(node, self._graph.opset), inputs, self._numbers)

    def _step(self, node: Node, function: Function, inputs: tuple[int, ...], kind: dict[str, int]) -> None:
        kind[node.output] = self._new()
        shaped = joined if node.kind in ELEMENTWISE and kind is self._numbers else function
        self._steps.append((node.name, function, shaped, inputs, kind[node.output]))

    def _new(self) -> int:
        self._places += 1
        return self._places - 1

    def _setting(self, name: str) -> int:
        must(name not in self._numbers, f"its input {name} is not known before the network runs")
        return self._sizes[name] if name in self._sizes else self._constant(name, self._settings)

    def _number(self, name: str) -> int:
        if name in self._numbers:
            return self._numbers[name]
        must(name not in self._sizes, f"its input {name} is a size, and numbers are wanted")
        array = self._constants.get(name)
        must(array is None or array.dtype == np.float32, f"its input {name} is not of float32")
        return self._constant(name, self._settings if array is None else self._tensors)

    def _constant(self, name: str, kind: dict[int, Array]) -> int:
        """The place of a constant; one that is left out has a place of its own, which stays empty."""
        key = name, kind is self._tensors
        if key not in self._laid:
            self._laid[key] = self._new()
            if name:
                kind[self._laid[key]] = self._constants[name]
        return self._laid[key]
