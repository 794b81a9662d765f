"""Building blocks for attacks and defenses. A method imports them from here, all from one line.

A block is here when two methods or more use it, or when a method of your own may need it. The
toolbox imports ``harness.contract`` and ``harness.data.augment``, nothing else of the project; what
methods are handed is in ``harness.contract``, and architectures are in ``harness.models``.
"""

from harness.data.augment import Augment
from harness.toolbox.activations import activation_changes, channel_outputs
from harness.toolbox.attention import (
    FeatureMaps,
    attention_distance,
    attention_map,
    last_map_module,
    last_map_modules,
    output_times,
)
from harness.toolbox.fit import fit
from harness.toolbox.folded_gates import folded_gates
from harness.toolbox.grad_prune import prune_and_tune
from harness.toolbox.graphed_step import GraphedStep, optimiser_state
from harness.toolbox.head import HeadInputs, classifier
from harness.toolbox.holdout import accuracy, hold_out
from harness.toolbox.image_files import image_or_noise, read_array, read_image
from harness.toolbox.ims.solver import learn_invertible_masks
from harness.toolbox.loops import (
    Loop,
    Patience,
    Samples,
    batches,
    fine_tune_,
    gathered_statistics,
    random_batch,
    refresh_statistics_,
    train_epochs,
)
from harness.toolbox.masks.batchnorm import (
    ScaleMasks,
    batchnorm_layers,
    convolution_batchnorm_pairs,
    cut_outliers_,
    fold_scales_,
    forward_with_scales,
    frozen_running_statistics,
    kept_channel_masks,
    train_mode_,
    unit_scale_masks,
    zero_scales_,
    zero_smallest_scales_,
)
from harness.toolbox.masks.caps import Caps, activations, with_caps
from harness.toolbox.masks.channel_gates import block_sites, convolution_sites, convolutions
from harness.toolbox.masks.fold_batchnorm import foldable_pairs, inference_copy
from harness.toolbox.masks.noise import (
    Noise,
    NoiseSearch,
    forward_with_noise,
    random_noise,
    worsen_noise,
    worst_noise,
)
from harness.toolbox.mixup import mixup_loss
from harness.toolbox.normalise import normalisation, pixel_unit
from harness.toolbox.poisoning.data_poisoning import (
    blend,
    poison_clean_label,
    poison_dirty_label,
    sample_indices,
    sample_target_indices,
)
from harness.toolbox.poisoning.encoder_decoder import EncoderDecoder
from harness.toolbox.poisoning.poisoned_batches import BatchPoisoner, Quota, random_images
from harness.toolbox.predict import (
    TriggerFunction,
    apply_trigger,
    as_float,
    predict_logits,
    thinned,
    to_uint8,
)
from harness.toolbox.retuning import (
    attackable_indices,
    retune_,
    retuning_samples,
    share_predicted,
    triggered_images,
)
from harness.toolbox.search.adversarial import clip_pixels, minimise_perturbation, sign_sgd
from harness.toolbox.search.double_backward import twice_differentiable
from harness.toolbox.search.feature_triggers import TriggerGenerator
from harness.toolbox.search.hypergradient import hypergradient
from harness.toolbox.search.neural_cleanse import (
    ANOMALY_THRESHOLD,
    InvertedTrigger,
    anomaly_index,
    invert_all_classes,
)
from harness.toolbox.search.sam import displaced_weights, sam_ascent, set_gradients

__all__ = [  # noqa: RUF022 - grouped by purpose
    # training and fine-tuning
    "fit",
    "fine_tune_",
    "train_epochs",
    "Loop",
    "Patience",
    "Samples",
    "batches",
    "random_batch",
    "mixup_loss",
    "train_mode_",
    "Augment",
    "as_float",
    # steps that a GPU runs as one graph
    "GraphedStep",
    "optimiser_state",
    # validation data out of the clean budget
    "hold_out",
    "accuracy",
    # predictions, and images under a trigger
    "predict_logits",
    "apply_trigger",
    "TriggerFunction",
    "to_uint8",
    # layers and channels
    "classifier",
    "HeadInputs",
    "convolutions",
    "batchnorm_layers",
    "convolution_batchnorm_pairs",
    "cut_outliers_",
    "kept_channel_masks",
    # masks and noise on the scales of batch norm
    "ScaleMasks",
    "unit_scale_masks",
    "forward_with_scales",
    "zero_scales_",
    "zero_smallest_scales_",
    "fold_scales_",
    "frozen_running_statistics",
    "gathered_statistics",
    "refresh_statistics_",
    "Noise",
    "NoiseSearch",
    "worst_noise",
    "random_noise",
    "worsen_noise",
    "forward_with_noise",
    # caps on activations
    "Caps",
    "activations",
    "with_caps",
    # gates on convolutions or encoder blocks, and IMS
    "convolution_sites",
    "block_sites",
    "learn_invertible_masks",
    # Grad-Prune
    "prune_and_tune",
    # networks that are only run, or differentiated twice
    "inference_copy",
    "foldable_pairs",
    "twice_differentiable",
    "pixel_unit",
    # perturbations of images and of weights
    "clip_pixels",
    "minimise_perturbation",
    "sign_sgd",
    "hypergradient",
    "sam_ascent",
    "displaced_weights",
    "set_gradients",
    # trigger inversion (Neural Cleanse, BTI-DBF)
    "invert_all_classes",
    "InvertedTrigger",
    "TriggerGenerator",
    "anomaly_index",
    "ANOMALY_THRESHOLD",
    # feature maps, and attention distillation
    "FeatureMaps",
    "attention_distance",
    "attention_map",
    "last_map_modules",
    "last_map_module",
    "normalisation",
    "output_times",
    # attacks that poison the training set
    "poison_dirty_label",
    "poison_clean_label",
    "sample_indices",
    "sample_target_indices",
    "blend",
    # attacks that control training
    "BatchPoisoner",
    "Quota",
    "random_images",
    "EncoderDecoder",
    # probes: what the attacker does to a defended model
    "retuning_samples",
    "retune_",
    "folded_gates",
    "attackable_indices",
    "triggered_images",
    "share_predicted",
    "thinned",
    "activation_changes",
    "channel_outputs",
    # image files of the user
    "read_image",
    "read_array",
    "image_or_noise",
]
