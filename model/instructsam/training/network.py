# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small InstructSAM: its configuration, and weights to start from when there are none.

At small widths the stock initialisation (normal, std 0.02) leaves the detector dead: mask
logits near zero, box references in one place, flat position bias. What is set here is what
made training from nothing start.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, Qwen3VLConfig, Sam3Config

from instructsam.configuration import InstructSAMConfig
from instructsam.modeling import InstructSAM
from instructsam.training.settings import NetworkSize

# (w, h) of the first box reference around each anchor, in 0..1 of the image
ANCHOR_BOX = (0.22, 0.28)


def scratch_config(
    size: NetworkSize, tokenizer: PreTrainedTokenizerBase, attention: str = 'hybrid'
) -> InstructSAMConfig:
    """Configure a network of the given dimensions with the tokenizer's special tokens."""
    def token(text: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(text))

    head = size.lm_hidden // size.lm_heads
    sixth = head // 6
    qwen = Qwen3VLConfig(
        text_config={
            'vocab_size': 64 * math.ceil(len(tokenizer) / 64),
            'hidden_size': size.lm_hidden, 'intermediate_size': size.lm_mlp,
            'num_hidden_layers': size.lm_layers, 'num_attention_heads': size.lm_heads,
            'num_key_value_heads': size.lm_kv_heads, 'head_dim': head,
            'max_position_embeddings': 4096, 'pad_token_id': None,
            'rope_parameters': {
                'rope_type': 'default', 'rope_theta': 10000.0, 'mrope_interleaved': True,
                'mrope_section': [head // 2 - 2 * sixth, sixth, sixth]},
        },
        vision_config={
            'depth': size.vlm_layers, 'hidden_size': size.vlm_hidden,
            'intermediate_size': size.vlm_mlp, 'num_heads': size.vlm_heads,
            'patch_size': size.vlm_patch, 'out_hidden_size': size.lm_hidden,
            'num_position_embeddings': 576,
            'deepstack_visual_indexes': list(size.vlm_deepstack),
        },
        image_token_id=token('<|image_pad|>'), video_token_id=token('<|video_pad|>'),
        vision_start_token_id=token('<|vision_start|>'),
        vision_end_token_id=token('<|vision_end|>'), tie_word_embeddings=True,
    )
    grid = size.sam_image // size.sam_patch
    detr = {'hidden_size': size.detr_hidden, 'num_attention_heads': size.detr_heads,
            'intermediate_size': size.detr_mlp, 'dropout': 0.0}
    sam3 = Sam3Config(
        vision_config={
            'fpn_hidden_size': size.detr_hidden,
            'backbone_feature_sizes': [[grid * k, grid * k] for k in (4, 2, 1)],
            'backbone_config': {
                'model_type': 'sam3_vit_model', 'hidden_size': size.sam_hidden,
                'intermediate_size': size.sam_mlp, 'num_hidden_layers': size.sam_layers,
                'num_attention_heads': size.sam_heads, 'image_size': size.sam_image,
                'patch_size': size.sam_patch, 'window_size': size.sam_window,
                'global_attn_indexes': list(size.sam_global_layers),
                'pretrain_image_size': size.sam_image},
        },
        detr_encoder_config={**detr, 'num_layers': size.detr_encoder_layers},
        detr_decoder_config={**detr, 'num_layers': size.detr_decoder_layers,
                             'num_queries': size.num_queries},
        geometry_encoder_config={**detr, 'num_layers': 1},
        mask_decoder_config={'hidden_size': size.detr_hidden, 'dropout': 0.0,
                             'num_attention_heads': size.detr_heads},
    )
    return InstructSAMConfig(
        qwen=qwen, sam3=sam3, max_seg_nums=size.num_queries, out_dim=size.detr_hidden,
        seg_token_index=token('[SEG]'), ref_start_token_index=token('<|object_ref_start|>'),
        ref_end_token_index=token('<|object_ref_end|>'),
        seg_start_token_index=token('<|mask_start|>'), seg_end_token_index=token('<|mask_end|>'),
        im_start_token_id=token('<|im_start|>'), im_end_token_id=token('<|im_end|>'),
        endoftext_token_id=token('<|endoftext|>'), layout='training',
        attention=attention,  # type: ignore[arg-type]
        score_threshold=0.4, max_new_tokens=160, min_pixels=size.vlm_min_pixels,
        max_pixels=size.vlm_max_pixels, unused_sam3_parts=False)


@torch.no_grad()
def initialise(model: InstructSAM, anchors: np.ndarray, seed: int) -> None:
    """Set starting weights: stock for the language model, our own for what joins and detects.

    Args:
        model: a network on a real device.
        anchors: [Q, 2] places of the slots, (x, y) in 0..1.
        seed: makes the weights repeatable.
    """
    torch.manual_seed(seed)
    backbone = model.model
    nn.init.normal_(backbone.mask_queries, std=0.02)
    for part in (backbone.visual, backbone.language_model):
        for module in part.modules():
            if isinstance(module, nn.Linear | nn.Conv3d | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
                bias = getattr(module, 'bias', None)
                if isinstance(bias, Tensor):
                    nn.init.zeros_(bias)
    detector = model.detector
    for part in (detector, backbone.mask_hidden_fcs, backbone.text_hidden_fcs):
        for module in part.modules():
            _initialise_layer(module)
    # token embeddings have std 0.02 and grow to about 0.1; phrases enter the detector near 1
    next(backbone.text_hidden_fcs[0].parameters()).mul_(15)
    nn.init.normal_(detector.vision_encoder.backbone.embeddings.position_embeddings, std=0.02)
    detector.mask_decoder.mask_embedder.layers[-1].weight.mul_(0.15)

    decoder = detector.detr_decoder
    nn.init.normal_(decoder.box_head.layer3.weight, std=1e-3)
    boxes = torch.cat([torch.as_tensor(anchors), torch.tensor(ANCHOR_BOX).expand(len(anchors), 2)],
                      dim=1).clamp(0.02, 0.98)
    decoder.reference_points.weight.copy_(torch.logit(boxes))
    for table in (decoder.box_rpb_embed_x, decoder.box_rpb_embed_y):
        _attend_inside_box(table)


def _initialise_layer(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        receptive = module.kernel_size[0] * module.kernel_size[1]
        fan_in = module.in_channels * (1 if isinstance(module, nn.ConvTranspose2d) else receptive)
        nn.init.normal_(module.weight, std=math.sqrt(1 / fan_in))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _attend_inside_box(table: nn.Module) -> None:
    """Start the position bias as a wall around the box, steeper from head to head.

    Its inputs are the signed log distances to the box's two edges: the first hidden unit grows
    before the lower edge, the second beyond the upper one.
    """
    first: Tensor = table.layer1.weight  # type: ignore[union-attr, assignment]
    second: Tensor = table.layer2.weight  # type: ignore[union-attr, assignment]
    nn.init.normal_(second, std=0.01)
    first[0] = torch.tensor([-1.0, 0.0])
    first[1] = torch.tensor([0.0, 1.0])
    second[:, :2] = -8 * torch.linspace(0.5, 1.5, len(second))[:, None]


def keep_queries(model: InstructSAM, count: int) -> InstructSAM:
    """Return the network with fewer instance queries (for ablations).

    The kept ones start from the middle of the picture, for they must now serve all of it.

    Raises:
        ValueError: the network has fewer queries than ``count``.
    """
    if not 1 <= count <= model.config.max_seg_nums:
        raise ValueError(f'cannot keep {count} of {model.config.max_seg_nums} queries')
    values = model.config.to_dict()
    values['max_seg_nums'] = count
    values['sam3_config']['detr_decoder_config']['num_queries'] = count
    smaller = InstructSAM(InstructSAMConfig.from_dict(values))
    state = model.state_dict()
    decoder = 'model.grounding_model.model.detr_decoder'
    references = f'{decoder}.reference_points.weight'
    for name in ('model.mask_queries', f'{decoder}.query_embed.weight', references):
        state[name] = state[name][:count]
    state[references] = torch.zeros_like(state[references])
    smaller.load_state_dict(state)
    return smaller


def freeze_unused(model: InstructSAM) -> None:
    """Stop gradients for parts that no loss reaches, so that optimizers leave them alone."""
    detector = model.detector
    mask_decoder = detector.mask_decoder
    dead: list[nn.Module] = [
        detector.vision_encoder.neck.fpn_layers[-1], detector.detr_decoder.query_embed,
        mask_decoder.semantic_projection, mask_decoder.pixel_decoder.conv_layers[2:],
        mask_decoder.pixel_decoder.norms[2:]]
    for name in ('geometry_encoder', 'text_projection'):
        part = getattr(detector, name, None)
        if part is not None:
            dead.append(part)
    for module in dead:
        module.requires_grad_(False)
