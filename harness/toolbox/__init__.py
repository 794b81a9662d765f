"""Pieces that two methods or more share; a method imports them from here."""

from harness.toolbox.attention import FeatureMaps, distance, last_maps
from harness.toolbox.fit import as_float, fit
from harness.toolbox.grad_prune import pruned_and_tuned
from harness.toolbox.holdout import accuracy, hold_out
from harness.toolbox.image_files import image_or_noise, read_array, read_image
from harness.toolbox.ims.solver import masked
from harness.toolbox.loops import Loop, Samples, batches, fine_tuned, train
from harness.toolbox.masks import batchnorm
from harness.toolbox.masks.batchnorm import (
    cut_outliers,
    frozen_statistics,
    kept_masks,
    norms,
    pairs,
)
from harness.toolbox.masks.channel_gates import block_sites, convolution_sites, convolutions
from harness.toolbox.normalise import pixel_unit
from harness.toolbox.poisoning.data_poisoning import (
    blend,
    clean_label,
    dirty_label,
    draw,
    draw_target,
)
from harness.toolbox.poisoning.poisoned_batches import BatchPoisoner, Quota, some_others
from harness.toolbox.poisoning.unet import Generator
from harness.toolbox.predict import quantised, stamped
from harness.toolbox.search.adversarial import descend, sign_descent
from harness.toolbox.search.double_backward import twice_differentiable
from harness.toolbox.search.hypergradient import hypergradient
from harness.toolbox.search.neural_cleanse import OUTLIER, Trigger, all_inverted
from harness.toolbox.search.sam import ascent, displaced, set_gradients

__all__ = [
    "OUTLIER",
    "BatchPoisoner",
    "FeatureMaps",
    "Generator",
    "Loop",
    "Quota",
    "Samples",
    "Trigger",
    "accuracy",
    "all_inverted",
    "as_float",
    "ascent",
    "batches",
    "batchnorm",
    "blend",
    "block_sites",
    "clean_label",
    "convolution_sites",
    "convolutions",
    "cut_outliers",
    "descend",
    "dirty_label",
    "displaced",
    "distance",
    "draw",
    "draw_target",
    "fine_tuned",
    "fit",
    "frozen_statistics",
    "hold_out",
    "hypergradient",
    "image_or_noise",
    "kept_masks",
    "last_maps",
    "masked",
    "norms",
    "pairs",
    "pixel_unit",
    "pruned_and_tuned",
    "quantised",
    "read_array",
    "read_image",
    "set_gradients",
    "sign_descent",
    "some_others",
    "stamped",
    "train",
    "twice_differentiable",
]
