"""Speed of PuzzleMix against the way it was published, and how good its masks are.

    python scripts/bench_puzzlemix.py [--images FOLDER] [--json scripts/results/bench_puzzlemix.jsonl]

The saliency is given to both: random, or the fine-grained saliency of images from a folder. The published way
takes one sample at a time on the CPU: a minimum cut for the mask, then cost matrices in plain Python and
dense rounds of transport. Its solver, alpha-beta swaps by gco, is stood in for by one exact cut per sample,
by PyMaxflow where installed, else by SciPy. It is handed this package's energies, so that their time is not
counted against it. The bound is ``torch.lerp`` of the batch with a permutation of itself. All take turns in
one process, and medians are compared.
"""

import argparse
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from measuring import append_line, circumstances, measure
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2.functional import center_crop, resize

from ssl_mix.mixers import PuzzleMix
from ssl_mix.mixers.cells import spread
from ssl_mix.mixers.grid_cut import energy_of, solve_grid
from ssl_mix.mixers.puzzle_energy import GridEnergy, cell_shares, puzzle_energy
from ssl_mix.mixers.saliency import fine_grained_saliency

Edges = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
CAPACITY = 2**22


def cut_edges(unary: NDArray[np.float64], right: NDArray[np.float64], down: NDArray[np.float64]) -> Edges:
    """Ishikawa's graph of one sample: start, end and capacity; the last two nodes are source and sink."""
    labels, height, width = unary.shape
    cells, levels = height * width, labels - 1
    place, every = np.arange(cells).reshape(height, width), np.arange(cells)
    costs = np.diff(unary.reshape(labels, cells), axis=0)
    edges: list[Edges] = []
    for one, other, weight in ((place[:, :-1], place[:, 1:], right), (place[:-1], place[1:], down)):
        start, end, share = one.ravel(), other.ravel(), weight.ravel() / levels**2
        for k in range(levels):
            for j in range(levels):
                edges += [
                    (k * cells + start, j * cells + end, share),
                    (j * cells + end, k * cells + start, share),
                ]
            np.add.at(costs[k], start, (2 * k + 2 - labels) * share)
            np.add.at(costs[k], end, (2 * k + 2 - labels) * share)
    large = np.full(cells, 100 * (np.abs(costs).max() + 1))
    source, sink = np.full(cells, cells * levels), np.full(cells, cells * levels + 1)
    for k in range(levels):
        edges.append((source, k * cells + every, np.maximum(-costs[k], 0)))
        edges.append((k * cells + every, sink, np.maximum(costs[k], 0)))
        if k > 0:
            edges.append((k * cells + every, (k - 1) * cells + every, large))
    start, end, capacity = (np.concatenate(part) for part in zip(*edges, strict=True))
    return start, end, capacity


def cut_by_scipy(edges: Edges, nodes: int) -> NDArray[np.bool_]:
    """Nodes on the side of the source of a minimum cut."""
    start, end, capacity = edges
    finite = capacity[capacity < capacity.max()].max()
    whole = np.rint(np.minimum(capacity / finite, 100) * CAPACITY).astype(np.int32)
    graph = csr_matrix((whole, (start, end)), shape=(nodes + 2, nodes + 2))
    left = graph - maximum_flow(graph, nodes, nodes + 1).flow
    left.eliminate_zeros()
    chosen = np.zeros(nodes + 2, dtype=bool)
    chosen[breadth_first_order(left, nodes, return_predecessors=False)] = True
    return chosen[:nodes]


def cut_by_pymaxflow(edges: Edges, nodes: int) -> NDArray[np.bool_]:
    """The same by Boykov and Kolmogorov's code."""
    import maxflow  # type: ignore[import-not-found, import-untyped, unused-ignore]

    start, end, capacity = edges
    graph = maxflow.GraphFloat(nodes, len(start))
    graph.add_nodes(nodes)
    from_source, to_sink = start == nodes, end == nodes + 1
    inner = ~(from_source | to_sink)
    graph.add_edges(start[inner], end[inner], capacity[inner], np.zeros(int(inner.sum())))
    graph.add_grid_tedges(np.arange(nodes), capacity[from_source], capacity[to_sink])
    graph.maxflow()
    on_source_side: NDArray[np.bool_] = ~graph.get_grid_segments(np.arange(nodes))
    return on_source_side


def cut_each(energy: GridEnergy, cut: Callable[[Edges, int], NDArray[np.bool_]]) -> Tensor:
    """Labels (N, h, w) of least energy, one sample after the other."""
    unary, right, down = (part.double().cpu().numpy() for part in energy)
    _, labels, height, width = unary.shape
    chosen = [
        cut(cut_edges(*sample), (labels - 1) * height * width)
        for sample in zip(unary, right, down, strict=True)
    ]
    return torch.from_numpy(np.stack(chosen).reshape(-1, labels - 1, height, width).sum(1))


def cost_matrix(side: int) -> Tensor:
    """Squared distances between the cells of a grid, in units of its side, one after the other as in the
    published code."""
    cost = np.zeros((side**2, side**2), dtype=np.float32)
    for i in range(side**2):
        for j in range(side**2):
            cost[i, j] = ((i // side - j // side) ** 2 + (i % side - j % side) ** 2) / (side - 1) ** 2
    return torch.from_numpy(cost)


def published_transport(images: Tensor, mask: Tensor, shares: Tensor, weight: float) -> Tensor:
    """Cost matrices in plain Python, dense rounds in torch, patches put in place by a matrix product."""
    side = mask.shape[-1]
    cost = cost_matrix(side)
    price = weight * cost - shares.flatten(1)[:, :, None] * (mask > 0).float().flatten(1)[:, None]
    for _ in range(side):
        plan = torch.zeros_like(price).scatter_(2, price.min(2)[1][:, :, None], 1)
        best = (plan * price).min(1)[1]
        won = torch.zeros_like(price).scatter_(1, best[:, None], 1) * plan
        price = price + (1 - won) * plan
    count, colors, height, width = images.shape
    size = (count, colors, side, height // side, side, width // side)
    patches = images.reshape(size).permute(0, 1, 3, 5, 2, 4).reshape(count, -1, side**2)
    moved = patches @ won
    moved = moved.view(count, colors, height // side, width // side, side, side)
    return moved.permute(0, 1, 4, 2, 5, 3).reshape(images.shape)


def load_images(options: argparse.Namespace) -> Tensor:
    """Random images, or images of a folder, (N, 3, side, side) as a network gets them."""
    generator = torch.Generator().manual_seed(0)
    if options.images is None:
        return torch.randn(options.batch_size, 3, options.side, options.side, generator=generator)
    files = sorted(options.images.rglob("*.jpg"))
    order = torch.randperm(len(files), generator=generator)[: options.batch_size].tolist()
    images = [decode_image(str(files[k]), ImageReadMode.RGB) for k in order]
    side = [options.side]
    ready = [center_crop(resize(one, side), side) for one in images]
    return (torch.stack(ready).float() / 255 - 0.5) / 0.25


def compare(options: argparse.Namespace, blocks: int) -> dict[str, float]:
    """Seconds and relative energies for one number of blocks."""
    device = torch.device(options.device)
    images = load_images(options)
    generator = torch.Generator().manual_seed(1)
    saliency = torch.rand(images[:, 0].shape, generator=generator) ** 4
    if options.images is not None:
        saliency = fine_grained_saliency(images)
    partner, lam = (
        torch.randperm(len(images), generator=generator),
        torch.rand(len(images), generator=generator),
    )
    mixer = PuzzleMix(block_numbers=(blocks,))
    shares = cell_shares(saliency, blocks)
    pixels = images * mixer.pixel_std
    settings = {"labels": mixer.labels, "beta": mixer.beta, "gamma": mixer.gamma, "eta": mixer.eta}
    energy = puzzle_energy((pixels, pixels[partner]), (shares, shares[partner]), lam, **settings)  # type: ignore[arg-type]
    cut = cut_by_pymaxflow if find_spec("maxflow") else cut_by_scipy
    here = [tensor.to(device) for tensor in (images, saliency, lam, partner)]
    energy_here = GridEnergy(*(part.to(device) for part in energy))

    def ours() -> Tensor:
        x, s, share, other = here
        return mixer.mix(x, x[other], lam=share, saliency_a=s, saliency_b=s[other])[0]

    def published() -> Tensor:
        cells = cut_each(energy, cut) / (mixer.labels - 1)
        moved_a = published_transport(images, cells, shares, mixer.distance_weight)
        moved_b = published_transport(images[partner], 1 - cells, shares[partner], mixer.distance_weight)
        return torch.lerp(moved_b, moved_a, spread(cells, *images.shape[2:]))

    work: dict[str, Callable[[], object]] = {
        "puzzlemix": ours,
        "mask": lambda: solve_grid(energy_here),
        "lerp": lambda: torch.lerp(here[0][here[3]], here[0], 0.3),
        "published_mask": lambda: cut_each(energy, cut),
        "published_matrices": lambda: [cost_matrix(blocks) for _ in "ab"],
        "published": published,
    }
    seconds = measure(work, options.rounds, device)
    excess = energy_of(solve_grid(energy), energy) / energy_of(cut_each(energy, cut), energy) - 1
    return {
        **{f"{name}_ms": 1000 * value for name, value in seconds.items()},
        "images_per_second": len(images) / seconds["puzzlemix"],
        "published_images_per_second": len(images) / seconds["published"],
        "over_lerp": seconds["puzzlemix"] / seconds["lerp"],
        "mean_excess_energy": excess.mean().item(),
        "largest_excess_energy": excess.max().item(),
    }


def main() -> None:
    """Measure, print, and append a line of JSON if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="folder of .jpg images; default random ones")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--blocks", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to append one line to")
    options = parser.parse_args()
    by_blocks = {str(blocks): compare(options, blocks) for blocks in options.blocks}
    for blocks, found in by_blocks.items():
        print(f"blocks {blocks:>2}  " + "  ".join(f"{name} {value:.4g}" for name, value in found.items()))
    ours, published, matrices = (
        sum(found[f"{name}_ms"] for found in by_blocks.values())
        for name in ("puzzlemix", "published", "published_matrices")
    )
    speedups = {"speedup": published / ours, "speedup_without_matrices": (published - matrices) / ours}
    print("all block numbers equally often:", speedups)
    if options.json:
        solver = f"PyMaxflow {version('PyMaxflow')}" if find_spec("maxflow") else f"SciPy {version('scipy')}"
        result = {
            "benchmark": "puzzlemix",
            "images": "folder" if options.images else "random",
            "side": options.side,
            "batch_size": options.batch_size,
            "rounds": options.rounds,
            "published_solver": f"one exact cut per sample by {solver}, standing in for gco's swaps",
            **speedups,
            "blocks": by_blocks,
            **circumstances(torch.device(options.device)),
        }
        append_line(options.json, result)


if __name__ == "__main__":
    main()
