"""The trained end of the image tower: the blocks after the cut, as matrix products.

Maps travel as (channels, n * cells), so a 1x1 convolution is one product; a depthwise convolution over a 9x9 map is
a product with one (cells, cells) matrix per channel. On a processor this is many times faster to train than a
grouped convolution, whose backward pass is slow there.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.training.image_tower import BLOCKS, CUT, Weights


def depthwise_basis(kernel: int, grid: int) -> Tensor:
    """(kernel * kernel, cells * cells): which weight of a kernel links which input cell to which output cell."""
    basis = torch.zeros(kernel, kernel, grid, grid, grid, grid)
    reach = kernel // 2
    for dy in range(kernel):
        for dx in range(kernel):
            for y in range(grid):
                for x in range(grid):
                    source_y, source_x = y + dy - reach, x + dx - reach
                    if 0 <= source_y < grid and 0 <= source_x < grid:
                        basis[dy, dx, source_y, source_x, y, x] = 1.0
    return basis.view(kernel * kernel, grid**4)


class Unit(nn.Module):
    """A convolution with its folded norm: weight as a matrix, and bias."""

    def __init__(self, weights: Weights, name: str) -> None:
        """Take `name` out of the folded weights."""
        super().__init__()
        kernel = torch.from_numpy(np.array(weights[f"{name}.weight"]))
        self.weight = nn.Parameter(kernel.flatten(1).clone())
        self.bias = nn.Parameter(torch.from_numpy(np.array(weights[f"{name}.bias"])).clone())

    def forward(self, maps: Tensor) -> Tensor:
        """A 1x1 convolution of (channels, n * cells)."""
        return torch.addmm(self.bias[:, None], self.weight, maps)


class TailBlock(nn.Module):
    """One inverted-residual block of stride 1."""

    def __init__(self, weights: Weights, index: int) -> None:
        """Take block `index` out of the folded weights."""
        super().__init__()
        self.skips = BLOCKS[index].skips
        self.kernel = BLOCKS[index].kernel
        self.expand = Unit(weights, f"{index}.expand")
        self.depthwise = Unit(weights, f"{index}.depthwise")
        self.project = Unit(weights, f"{index}.project")

    def forward(self, maps: Tensor, cells: int, basis: Tensor) -> Tensor:
        """(channels_in, n * cells) to (channels_out, n * cells)."""
        wide = functional.relu6(self.expand(maps), inplace=True)
        matrices = (self.depthwise.weight @ basis).view(-1, cells, cells)
        spread = torch.baddbmm(self.depthwise.bias[:, None, None], wide.view(wide.shape[0], -1, cells), matrices)
        out: Tensor = self.project(functional.relu6(spread, inplace=True).view(wide.shape))
        return out + maps if self.skips else out


class Tail(nn.Module):
    """Blocks after the cut and the last 1x1 convolution."""

    def __init__(self, weights: Weights, grid: int = 9) -> None:
        """Start from the pretrained weights, for maps of `grid` x `grid`."""
        super().__init__()
        self.grid = grid
        self.cells = grid * grid
        self.indices = list(range(CUT + 1, len(BLOCKS)))
        self.blocks = nn.ModuleList(TailBlock(weights, i) for i in self.indices)
        self.top = Unit(weights, "top")
        for kernel in {BLOCKS[i].kernel for i in self.indices}:
            self.register_buffer(f"basis{kernel}", depthwise_basis(kernel, grid), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (n, 208, cells) to (1280, n, cells)."""
        flat = maps.permute(1, 0, 2).reshape(maps.shape[1], -1)
        for block in self.blocks:
            flat = block(flat, self.cells, self.get_buffer(f"basis{block.kernel}"))
        top = functional.relu6(self.top(flat), inplace=True)
        return top.view(top.shape[0], -1, self.cells)

    def folded(self) -> Weights:
        """The trained weights under the names and shapes of :func:`image_tower.fold`."""
        units = {"top": self.top}
        for index, block in zip(self.indices, self.blocks, strict=True):
            units |= {f"{index}.{part}": getattr(block, part) for part in ("expand", "depthwise", "project")}
        found: Weights = {}
        for name, unit in units.items():
            kernel = BLOCKS[int(name.split(".")[0])].kernel if name.endswith("depthwise") else 1
            weight = unit.weight.detach()
            columns = 1 if name.endswith("depthwise") else weight.shape[1]
            found[f"{name}.weight"] = weight.view(weight.shape[0], columns, kernel, kernel).numpy()
            found[f"{name}.bias"] = unit.bias.detach().numpy()
        return found
