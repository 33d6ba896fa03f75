"""The ONNX operators that torch is taught: each a small function that makes, of a node, a function of its inputs.

Semantics are those of opsets 7 to 17. What is not here, or not the same in every runtime, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmidd.networks import nodes
from mmidd.networks.nodes import Array, Node, must, whole

if TYPE_CHECKING:
    import torch

MOST_PIXELS = 4096
"""Of a kernel, a stride, a padding or an enlargement along one side."""

Function = Callable[..., Any]
Maker = Callable[[Node, int], Function]
"""From a node and the opset to the function of its inputs (None for one that is left out). Raises ValueError for what is
not known."""


def _plain(name: str) -> Maker:
    """An operator without attributes that torch has under this name."""

    def make(node: Node, opset: int) -> Function:
        import torch

        node.take()
        return getattr(torch, name)  # type: ignore[no-any-return]

    return make


_VECTOR = 64
"""More numbers than a CPU computes at once, by a power of two."""


def _sigmoid(node: Node, opset: int) -> Function:
    """On a CPU torch computes the last numbers of a tensor otherwise than those before: another last bit, by the place."""
    import torch

    node.take()

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        beyond = -x.numel() % _VECTOR
        if x.device.type != "cpu" or not beyond:
            return torch.sigmoid(x)
        return torch.sigmoid(torch.nn.functional.pad(x.flatten(), (0, beyond)))[: x.numel()].reshape(x.shape)

    return sigmoid


def _same(node: Node, opset: int) -> Function:
    node.take()
    return lambda x: x


def _dropout(node: Node, opset: int) -> Function:
    node.take(ratio=0.5, seed=None)

    def dropout(x: torch.Tensor, ratio: Array | None = None, training: Array | None = None) -> torch.Tensor:
        must(training is None or not training.any(), "it drops numbers at random")
        return x

    return dropout


def _cast(node: Node, opset: int) -> Function:
    (to,) = node.take(to=0)
    must(to == 1, "it casts numbers to another kind than float32")
    return lambda x: x


@dataclass(frozen=True)
class _Window:
    """Kernel, strides, dilations and pads of a Conv or a pool, for height and width; `kernel` None: as the weights are."""

    kernel: tuple[int, ...] | None
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    auto: str

    @classmethod
    def of(cls, kernel: Any, strides: Any, dilations: Any, pads: Any, auto: str) -> _Window:
        given = {"kernel": kernel, "strides": strides, "dilations": dilations}
        sized = {name: (1, 1) if each is None else tuple(each) for name, each in given.items()}
        around = (0, 0, 0, 0) if pads is None else tuple(pads)
        must([len(each) for each in (*sized.values(), around)] == [2, 2, 2, 4], "its window is not of height and width")
        must(all(1 <= side <= MOST_PIXELS for each in sized.values() for side in each), "its window is of no sensible size")
        must(all(0 <= side <= MOST_PIXELS for side in around), "its padding is negative or huge")
        must(auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad is {auto}")
        must(auto == "NOTSET" or not any(around), "it has both pads and auto_pad")
        return cls(kernel and sized["kernel"], sized["strides"], sized["dilations"], around, auto)

    def around(self, x: torch.Tensor, kernel: Sequence[int]) -> tuple[int, ...]:
        """Padding at the top, the left, the bottom, the right."""
        if not self.auto.startswith("SAME"):
            return self.pads
        before, after = [], []
        for size, side, stride, dilation in zip(x.shape[2:], kernel, self.strides, self.dilations, strict=True):
            total = max((-(-size // stride) - 1) * stride + (side - 1) * dilation + 1 - size, 0)
            less, more = total // 2, total - total // 2
            before.append(less if self.auto == "SAME_UPPER" else more)
            after.append(more if self.auto == "SAME_UPPER" else less)
        return (*before, *after)


def _padded(x: torch.Tensor, pads: Sequence[int], value: float, most: Sequence[int] | None = None) -> Any:
    """A picture and the padding that is left to be done: equal on both sides and at most `most`, else (0, 0)."""
    import torch.nn.functional as F

    top, left, bottom, right = pads
    if (top, left) == (bottom, right) and (most is None or (top <= most[0] and left <= most[1])):
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom), value=value), (0, 0)


def _conv(node: Node, opset: int) -> Function:
    import torch.nn.functional as F

    auto, dilations, group, kernel, pads, strides = node.take(
        auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None, strides=None
    )
    window = _Window.of(kernel, strides, dilations, pads, auto)

    def conv(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        sides = tuple(weight.shape[2:])
        must(x.ndim == weight.ndim == 4 and window.kernel in (None, sides), "its weights are not as its kernel says")
        x, left = _padded(x, window.around(x, sides), 0.0)
        return F.conv2d(x, weight, bias, window.strides, left, window.dilations, group)

    return conv


def _max_pool(node: Node, opset: int) -> Function:
    import torch.nn.functional as F

    auto, ceil, dilations, kernel, pads, _, strides = node.take(
        auto_pad="NOTSET", ceil_mode=0, dilations=None, kernel_shape=None, pads=None, storage_order=0, strides=None
    )
    must(kernel is not None, "it has no kernel_shape")
    window = _Window.of(kernel, strides, dilations, pads, auto)
    covered = _covered(window, kernel)
    must(not ceil or _all_begin_inside(window, covered), "ceil_mode with windows that may begin in the padding")

    def pool(x: torch.Tensor) -> torch.Tensor:
        must(x.ndim == 4, "its input is no picture")
        x, left = _padded(x, window.around(x, kernel), -math.inf, [side // 2 for side in kernel])
        return F.max_pool2d(x, kernel, window.strides, left, window.dilations, bool(ceil))

    return pool


def _average_pool(node: Node, opset: int) -> Function:
    import torch.nn.functional as F

    auto, ceil, counted, kernel, pads, strides = node.take(
        auto_pad="NOTSET", ceil_mode=0, count_include_pad=0, kernel_shape=None, pads=None, strides=None
    )
    must(kernel is not None, "it has no kernel_shape")
    window = _Window.of(kernel, strides, None, pads, auto)
    must(
        not ceil or (not counted and _all_begin_inside(window, kernel)),
        "ceil_mode with padding that counts, or windows in it",
    )

    def pool(x: torch.Tensor) -> torch.Tensor:
        must(x.ndim == 4, "its input is no picture")
        x, left = _padded(x, around := window.around(x, kernel), 0.0, [side // 2 for side in kernel])
        must(counted or left == around[:2], "padding that differs by side and does not count")
        return F.avg_pool2d(x, kernel, window.strides, left, bool(ceil), bool(counted))

    return pool


def _covered(window: _Window, kernel: Sequence[int]) -> list[int]:
    return [(side - 1) * dilation + 1 for side, dilation in zip(kernel, window.dilations, strict=True)]


def _all_begin_inside(window: _Window, covered: Sequence[int]) -> bool:
    """No window begins below or right of the picture, where runtimes differ, even if the last one may overhang."""
    sides = zip(covered, window.strides, window.pads[2:], strict=True)
    return all(stride + after <= side for side, stride, after in sides)


def _global(reduce: str) -> Maker:
    def make(node: Node, opset: int) -> Function:
        import torch

        node.take()
        function = getattr(torch, reduce)
        return lambda x: function(x, tuple(range(2, x.ndim)), keepdim=True)

    return make


def _mean(node: Node, opset: int) -> Function:
    axes, keep = node.take(axes=None, keepdims=1)
    return lambda x: x.mean(tuple(range(x.ndim)) if axes is None else tuple(axes), keepdim=bool(keep))


def _batch_norm(node: Node, opset: int) -> Function:
    import torch.nn.functional as F

    epsilon, _, training, spatial = node.take(epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1)
    must(not training and spatial == 1, "it is in training, or for every pixel")
    return lambda x, scale, bias, mean, var: F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)


def _prelu(node: Node, opset: int) -> Function:
    import torch

    node.take()

    def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        if x.ndim - slope.ndim == 1 and slope.numel() == slope.shape[0] == x.shape[1]:
            return torch.nn.functional.prelu(x, slope.reshape(-1))  # one number a channel: one kernel
        must(slope.broadcast_to(x.shape).shape == x.shape, "its slopes do not fit")
        return torch.where(x < 0, x * slope, x)

    return prelu


def _leaky(node: Node, opset: int) -> Function:
    import torch.nn.functional as F

    (alpha,) = node.take(alpha=0.01)
    return lambda x: F.leaky_relu(x, alpha)


def _clip(node: Node, opset: int) -> Function:
    low, high = node.take(min=None, max=None)

    def clip(x: torch.Tensor, least: Array | None = None, most: Array | None = None) -> torch.Tensor:
        ends = [end if given is None else float(given.reshape(())) for end, given in ((low, least), (high, most))]
        return x if ends == [None, None] else x.clamp(*ends)

    return clip


def _softmax(node: Node, opset: int) -> Function:
    """Before opset 13 all dimensions from `axis` on are one."""
    (axis,) = node.take(axis=-1 if opset >= 13 else 1)
    if opset >= 13:
        return lambda x: x.softmax(axis)
    return lambda x: x.flatten(_axis(axis, x.ndim)).softmax(-1).reshape(x.shape)


def _gemm(node: Node, opset: int) -> Function:
    import torch

    alpha, beta, first, second = node.take(alpha=1.0, beta=1.0, transA=0, transB=0)

    def gemm(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        must(a.ndim == b.ndim == 2, "it multiplies what is no matrix")
        a, b = (each.t() if turned else each for each, turned in ((a, first), (b, second)))
        if a.device.type == "meta":
            return joined(torch.mm(a, b), c)
        return torch.mm(a, b) * alpha if c is None else torch.addmm(c, a, b, beta=beta, alpha=alpha)

    return gemm


def _flatten(node: Node, opset: int) -> Function:
    (axis,) = node.take(axis=1)

    def flatten(x: torch.Tensor) -> torch.Tensor:
        at = axis + x.ndim if axis < 0 else axis
        must(0 <= at <= x.ndim, "it has not so many dimensions")
        return x.reshape(math.prod(x.shape[:at]), math.prod(x.shape[at:]))

    return flatten


def _reshape(node: Node, opset: int) -> Function:
    (literal,) = node.take(allowzero=0)

    def reshape(x: torch.Tensor, shape: Array) -> torch.Tensor:
        wanted = whole(shape)
        return x.reshape([x.shape[at] if size == 0 and not literal else size for at, size in enumerate(wanted)])

    return reshape


def _transpose(node: Node, opset: int) -> Function:
    (order,) = node.take(perm=None)
    return lambda x: x.permute(*(reversed(range(x.ndim)) if order is None else order))


def _concat(node: Node, opset: int) -> Function:
    import torch

    (axis,) = node.take(axis=1)
    return lambda *parts: torch.cat(parts, axis)


def _slice(node: Node, opset: int) -> Function:
    cut = nodes.slices(node)
    return lambda x, *places: x[cut(x.ndim, *places)]


def _unsqueeze(node: Node, opset: int) -> Function:
    (fixed,) = node.take(axes=None)

    def unsqueeze(x: torch.Tensor, axes: Array | None = None) -> torch.Tensor:
        chosen = fixed if axes is None else whole(axes)
        must(chosen is not None and len(chosen) <= 8, "it does not say which axes")
        for axis in sorted(_axis(each, x.ndim + len(chosen)) for each in chosen):
            x = x.unsqueeze(axis)
        return x

    return unsqueeze


def _squeeze(node: Node, opset: int) -> Function:
    (fixed,) = node.take(axes=None)

    def squeeze(x: torch.Tensor, axes: Array | None = None) -> torch.Tensor:
        chosen = fixed if axes is None else whole(axes)
        must(chosen is not None, "it does not say which axes")  # else a batch of one would lose its dimension
        must(all(x.shape[each] == 1 for each in chosen), "an axis to be dropped is longer than one")
        return x.squeeze(tuple(chosen))

    return squeeze


def _pad(node: Node, opset: int) -> Function:
    import torch.nn.functional as F

    mode, fixed, number = node.take(mode="constant", pads=None, value=0.0)
    must(mode == "constant", f"its mode is {mode}")

    def pad(x: torch.Tensor, pads: Array | None = None, value: Array | None = None) -> torch.Tensor:
        sides = fixed if pads is None else whole(pads)
        must(sides is not None and len(sides) == 2 * x.ndim, "its pads are not two a dimension")
        must(all(0 <= side <= MOST_PIXELS for side in sides), "its padding is negative or huge")
        ordered = [side for at in reversed(range(x.ndim)) for side in (sides[at], sides[at + x.ndim])]
        return F.pad(x, ordered, value=number if value is None else float(value.reshape(())))

    return pad


def _upsample(node: Node, opset: int) -> Function:
    mode, fixed = node.take(mode="nearest", scales=None)
    must(mode == "nearest", f"its mode is {mode}")
    return lambda x, scales=None: _enlarged(x, fixed if scales is None else scales.tolist(), None, False)


def _resize(node: Node, opset: int) -> Function:
    """Enlargement of pictures by whole numbers alone: there all runtimes do the same, exactly where it is `nearest`."""
    old = opset < 11
    mode, place, nearest, _, _, exclude = node.take(
        mode="nearest",
        coordinate_transformation_mode="asymmetric" if old else "half_pixel",
        nearest_mode="floor" if old else "round_prefer_floor",
        cubic_coeff_a=None,
        extrapolation_value=None,
        exclude_outside=0,
    )
    linear = mode == "linear"
    known = (linear and place in ("half_pixel", "pytorch_half_pixel")) or (mode, place, nearest) == (
        "nearest", "asymmetric", "floor",
    )  # fmt: skip
    must(known and not exclude, f"it resizes by {mode}, {place}, {nearest}")

    def resize(x: torch.Tensor, *given: Array | None) -> torch.Tensor:
        scales, sizes = (*(given if old else given[1:]), None, None)[:2]
        scales, sizes = (None if each is None or not each.size else each for each in (scales, sizes))
        must((scales is None) != (sizes is None), "it has not either scales or sizes")
        return _enlarged(x, None if scales is None else scales.tolist(), None if sizes is None else whole(sizes), linear)

    return resize


def _enlarged(x: torch.Tensor, scales: Sequence[float] | None, sizes: Sequence[int] | None, linear: bool) -> torch.Tensor:
    import torch.nn.functional as F

    must(x.ndim == 4 and len(scales or sizes or ()) == 4, "it resizes what is no picture")
    times = [size / max(side, 1) for size, side in zip(sizes, x.shape, strict=True)] if sizes else list(scales or ())
    whole_times = all(each == int(each) and 1 <= each <= MOST_PIXELS for each in times)
    must(times[:2] == [1, 1] and whole_times, "it resizes by what is no whole number")
    down, across = int(times[2]), int(times[3])
    count, channels, height, width = x.shape
    if linear:
        return F.interpolate(x, (height * down, width * across), mode="bilinear", align_corners=False)
    spread = x[:, :, :, None, :, None].expand(count, channels, height, down, width, across)
    return spread.reshape(count, channels, height * down, width * across)


def _axis(axis: int, rank: int) -> int:
    must(-rank <= axis < rank, f"it has no axis {axis}")
    return axis % rank


ELEMENTWISE = frozenset((
    "Add", "Sub", "Mul", "Div", "Pow", "PRelu", "LeakyRelu", "Relu", "Sigmoid", "Tanh", "Exp", "Sqrt", "Abs", "Neg",
))  # fmt: skip


def joined(*values: Any) -> torch.Tensor:
    """The shape of what an elementwise operator gives. (Torch's own way to it takes seconds: it imports its compiler.)"""
    import torch

    shapes = [tuple(each.shape) for each in values if each is not None]
    return torch.empty(np.broadcast_shapes(*shapes), device="meta")


OPERATORS: dict[str, tuple[Maker, tuple[int, ...]]] = {
    # an operator, and which of its inputs are sizes or settings: they stay on the CPU
    "Conv": (_conv, ()), "Gemm": (_gemm, ()), "MatMul": (_plain("matmul"), ()),
    "MaxPool": (_max_pool, ()), "AveragePool": (_average_pool, ()), "ReduceMean": (_mean, ()),
    "GlobalAveragePool": (_global("mean"), ()), "GlobalMaxPool": (_global("amax"), ()),
    "BatchNormalization": (_batch_norm, ()), "Softmax": (_softmax, ()),
    "Relu": (_plain("relu"), ()), "PRelu": (_prelu, ()), "LeakyRelu": (_leaky, ()), "Clip": (_clip, (1, 2)),
    "Sigmoid": (_sigmoid, ()), "Tanh": (_plain("tanh"), ()), "Exp": (_plain("exp"), ()),
    "Sqrt": (_plain("sqrt"), ()), "Abs": (_plain("abs"), ()), "Neg": (_plain("neg"), ()),
    "Add": (_plain("add"), ()), "Sub": (_plain("sub"), ()), "Mul": (_plain("mul"), ()), "Div": (_plain("div"), ()),
    "Pow": (_plain("pow"), ()), "Identity": (_same, ()), "Dropout": (_dropout, (1, 2)), "Cast": (_cast, ()),
    "Flatten": (_flatten, ()), "Reshape": (_reshape, (1,)), "Transpose": (_transpose, ()), "Concat": (_concat, ()),
    "Slice": (_slice, (1, 2, 3, 4)), "Unsqueeze": (_unsqueeze, (1,)), "Squeeze": (_squeeze, (1,)),
    "Pad": (_pad, (1, 2)), "Upsample": (_upsample, (1,)), "Resize": (_resize, (1, 2, 3)),
}  # fmt: skip
