"""Transfer to semantic segmentation: a trained classifier learns the class of each pixel from masks."""

from ssl_mix.segmentation.algorithm import Segmentation
from ssl_mix.segmentation.head import MaskTransformer, SegmentationHead
from ssl_mix.segmentation.options import SegmentationOptions
from ssl_mix.segmentation.run import SegmentationRun, resume_segmentation, start_segmentation

__all__ = [
    "MaskTransformer",
    "Segmentation",
    "SegmentationHead",
    "SegmentationOptions",
    "SegmentationRun",
    "resume_segmentation",
    "start_segmentation",
]
