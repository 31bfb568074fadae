# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network of the published dimensions with random weights, to measure with."""

from __future__ import annotations

import torch

from instructsam import checkpoint
from instructsam.configuration import InstructSAMConfig
from instructsam.modeling import InstructSAM
from instructsam.segmenter import InstructSAMSegmenter

_SPREAD = 0.02


def published_segmenter(device: str, dtype: torch.dtype | None,
                        layers: int | None = None) -> InstructSAMSegmenter:
    """Return a segmenter of the published dimensions; what it finds means nothing.

    The included checkpoint lends its tokenizer, so that nothing must be downloaded: the special
    tokens have its ids, and words its lengths.

    Args:
        device: as for `InstructSAMSegmenter`.
        dtype: of the weights; None: bfloat16 on CUDA, float32 elsewhere.
        layers: keep only so many layers of each part, to try a script quickly.
    """
    target, kind = checkpoint.resolve_device(device, dtype)
    included = checkpoint.default_checkpoint()
    config = _config(InstructSAMConfig.load(included), layers)
    torch.manual_seed(0)
    with torch.device('meta'):
        model = InstructSAM(config)
    model = model.to(kind).to_empty(device=target)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1:
                value.normal_(std=_SPREAD)
            else:
                value.fill_(1.0 if 'norm' in name and name.endswith('weight') else 0.0)
    model.reset_position_tables(target)
    return InstructSAMSegmenter(model, checkpoint.load_tokenizer(included, config))


def _config(words: InstructSAMConfig, layers: int | None) -> InstructSAMConfig:
    names = [name for name in words.to_dict() if name.endswith(('_token_id', '_token_index'))]
    config = InstructSAMConfig.from_dict({
        **InstructSAMConfig().to_dict(), **{name: words.to_dict()[name] for name in names}})
    if layers is not None:
        text, vision = config.qwen.text_config, config.qwen.vision_config
        text.num_hidden_layers = vision.depth = layers
        vision.deepstack_visual_indexes = [0]
        vit = config.sam3.vision_config.backbone_config
        vit.num_hidden_layers, vit.global_attn_indexes = layers, [layers - 1]
        config.sam3.detr_encoder_config.num_layers = layers
        config.sam3.detr_decoder_config.num_layers = layers
    # the published checkpoint has ten reference points, the stock default is 200
    config.sam3.detr_decoder_config.num_queries = config.max_seg_nums
    return config
