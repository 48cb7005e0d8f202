"""The picture of right and wrong images."""

import re

import torch

from ssl_mix.datasets import ImageSet, ResidentImages
from ssl_mix.reports.answers import RIGHT, draw_answers, spread


def test_images_stand_where_they_belong_with_every_answer() -> None:
    """Of twelve images the first ten are right by both methods, one by one of them, and one by none."""
    truth = torch.zeros(12, dtype=torch.int64)
    pixels = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)
    one, other = truth.clone(), truth.clone()
    one[11], other[10:] = 1, 1
    test = ImageSet(ResidentImages(pixels), truth)
    figure = draw_answers(test, {"a": one, "b": other}, ("cat", "dog"))
    drawn = [axes for axes in figure.axes if axes.images]
    assert [int(axes.images[0].get_array()[0, 0, 0]) for axes in drawn] == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    assert {axes.get_title() for axes in drawn} == {"cat"}
    said = [[(text.get_text(), text.get_color() == RIGHT) for text in axes.texts] for axes in drawn]
    assert said[0] == [("a: cat", True), ("b: cat", True)]
    assert said[-2:] == [[("a: cat", True), ("b: dog", False)], [("a: dog", False), ("b: dog", False)]]
    labels = [re.sub(r"\s+", " ", axes.get_ylabel()) for axes in figure.axes if axes.get_ylabel()]
    assert labels == ["all right: 10 of 12", "some right: 1 of 12", "none right: 1 of 12"]


def test_a_kind_without_images_has_no_row() -> None:
    truth = torch.tensor([0, 1])
    test = ImageSet(ResidentImages(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)), truth)
    figure = draw_answers(test, {"a": truth}, ("cat", "dog"))
    assert len(figure.axes) == 8 and sum(bool(axes.images) for axes in figure.axes) == 2


def test_members_are_spread_evenly() -> None:
    assert spread(torch.arange(100, 110), 4).tolist() == [100, 102, 105, 107]
    assert spread(torch.arange(3), 8).tolist() == [0, 1, 2] and spread(torch.arange(0), 8).tolist() == []
