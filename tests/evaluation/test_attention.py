"""Attention as masks and boxes, against loops over patches and pixels."""

import pytest
import torch
from torch import Tensor

from ssl_mix.evaluation import attention_masks, box_iou, boxes_of_masks, jaccard_index


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("mass", [0.1, 0.6, 0.9, 1.0])
def test_the_fewest_patches_hold_the_mass(mass: float) -> None:
    attention = torch.rand(20, 3, 49, generator=generator()).softmax(-1)
    kept = attention_masks(attention, mass)
    for values, mask in zip(attention.flatten(0, 1).double(), kept.flatten(0, 1), strict=True):
        held, wanted = 0.0, set()
        for place in values.argsort(descending=True).tolist():
            if held >= mass * float(values.sum()) - 1e-9:
                break
            held += float(values[place])
            wanted.add(place)
        assert set(mask.nonzero().flatten().tolist()) == wanted


def test_ties_nothing_and_one_patch() -> None:
    assert attention_masks(torch.ones(4), 0.5).tolist() == [True, True, False, False]
    assert not attention_masks(torch.zeros(2, 4)).any()
    assert attention_masks(torch.tensor([[0.0, 3.0, 0.0]]), 1.0).tolist() == [[False, True, False]]
    assert torch.equal(
        attention_masks(torch.tensor([0.7, 0.3]).half()), attention_masks(torch.tensor([7.0, 3]))
    )
    for bad in (torch.tensor([-1.0, 2]), torch.tensor([float("nan"), 2]), torch.tensor([1, 2])):
        with pytest.raises(ValueError, match="not negative|float tensor"):
            attention_masks(bad)
    with pytest.raises(ValueError, match="mass must lie"):
        attention_masks(torch.ones(2), 0.0)


def masks(seed: int, count: int = 12) -> Tensor:
    return torch.rand(count, 6, 7, generator=generator(seed)) < torch.linspace(0, 1, count)[:, None, None]


def test_the_jaccard_index_counts_pixels() -> None:
    first, second, ignored = masks(0), masks(1).flip(0), masks(2)
    for hidden in (None, ignored):
        found = jaccard_index(first, second, hidden)
        for place in range(len(first)):
            both = either = 0
            for row in range(6):
                for column in range(7):
                    if hidden is not None and hidden[place, row, column]:
                        continue
                    a, b = bool(first[place, row, column]), bool(second[place, row, column])
                    both, either = both + (a and b), either + (a or b)
            assert found[place].item() == (both / either if either else 1.0)
    assert jaccard_index(first, first).tolist() == [1.0] * 12
    assert jaccard_index(first, ~first).tolist() == [0.0] * 12
    with pytest.raises(ValueError, match="masks must be bool"):
        jaccard_index(first.float(), second)


def flood(mask: Tensor, row: int, column: int) -> set[tuple[int, int]]:
    """The part of a mask around one of its pixels."""
    part, ahead = set(), [(row, column)]
    while ahead:
        r, c = ahead.pop()
        if (r, c) in part or not (0 <= r < mask.shape[0] and 0 <= c < mask.shape[1]) or not mask[r, c]:
            continue
        part.add((r, c))
        ahead += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
    return part


def test_boxes_are_around_the_largest_part() -> None:
    for mask, box in zip(masks(3), boxes_of_masks(masks(3)), strict=True):
        parts = [flood(mask, r, c) for r in range(6) for c in range(7) if mask[r, c]]
        largest = max(parts, key=len, default=set())  # of several the first, as max does
        rows, columns = [r for r, _ in largest], [c for _, c in largest]
        edges = [min(columns), min(rows), max(columns) + 1, max(rows) + 1] if largest else [0] * 4
        assert box.tolist() == edges
    with pytest.raises(ValueError, match="masks must be bool"):
        boxes_of_masks(torch.zeros(2, 2, 2))


def test_overlap_of_boxes_is_that_of_their_pixels() -> None:
    corners = torch.randint(0, 7, (40, 2, 4), generator=generator(4))
    boxes = torch.cat((corners[:, :, :2], corners[:, :, :2] + corners[:, :, 2:]), 2)  # some are empty
    found = box_iou(boxes[:, 0], boxes[:, 1])
    for pair, overlap in zip(boxes.tolist(), found, strict=True):
        a, b = (
            {(x, y) for x in range(left, right) for y in range(top, bottom)}
            for left, top, right, bottom in pair
        )
        assert overlap.item() == pytest.approx(len(a & b) / len(a | b) if a | b else 0.0)
    with pytest.raises(ValueError, match="boxes must be"):
        box_iou(boxes[:, 0], boxes[:1, 1])
