"""BSS shrinks the smallest singular values of the features."""

import numpy as np
import pytest
import transfer_reference as reference
from transfer_scene import EXACT, Scene, assert_gradients


@pytest.mark.parametrize("sizes", [(2, 0), (4, 0), (6, 0), (9, 0)])
@pytest.mark.parametrize("smallest", [1, 2])
def test_bss_takes_the_smallest_of_the_singular_values_that_there_are(
    sizes: tuple[int, int], smallest: int
) -> None:
    """min(B, D) of them: with more images than features the Gram matrix of images has zeros that are none."""
    scene = Scene("bss", sizes, shrinkage_weight=1.0, smallest=smallest)
    output = scene.run()
    values = np.linalg.svd(reference.features(scene.w, scene.x), compute_uv=False)
    shrinkage = (output.loss - output.metrics["loss/labeled"]).item()
    assert shrinkage == pytest.approx((np.sort(values)[:smallest] ** 2).sum(), rel=EXACT, abs=1e-12)
    assert_gradients(scene)


def test_bss_refuses_more_singular_values_than_there_are() -> None:
    with pytest.raises(ValueError, match="smallest"):
        Scene("bss", (2, 0), smallest=3).run()
