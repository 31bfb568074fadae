# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The baseline of `stream_latency`: a picture answered as the authors' release answers it.

The same weights, driven through the stock forward passes of transformers wherever there are any:
one token after the other with the likeliest copied to the host each time, SAM3's encoder only
after the answer, image features repeated for every phrase, text padded to 32 tokens, all layers
scored, all levels of the pyramid computed, position tables made anew. Kinder than the release in
three points: attention is sdpa, SAM3's rotary tables are kept (they are part of our detector),
and no processor objects are built. Results are those of `InstructSAMSegmenter.segment` but for
rounding.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from instructsam.preprocessing import sam_pixels, vlm_pixels
from instructsam.prompts import PromptBuilder, image_token_count
from instructsam.segmentation import Instance, Segmentation, mask_box
from instructsam.segmenter import InstructSAMSegmenter
from instructsam.sequence import SequenceWriter, attention_from_reach
from instructsam.stages import StageClock

# Through importlib: the package's own names for these classes ask for torchvision.
_sam3 = importlib.import_module('transformers.models.sam3.modeling_sam3')

TEXT_TOKENS = 32


class PlainPath:
    """Segments pictures with a segmenter's network, each on its own.

    Args:
        segmenter: whose network, tokenizer and device to use.

    Attributes:
        script: answer tokens that the model is made to give, each after it has chosen its own;
            None: its own.
    """

    def __init__(self, segmenter: InstructSAMSegmenter) -> None:
        self.script: Sequence[int] | None = None
        self._segmenter = segmenter

    @torch.inference_mode()
    def segment(self, image: np.ndarray, instruction: str, threshold: float) -> Segmentation:
        """Find what an instruction names in an image, uint8 RGB [H, W, 3]."""
        model = self._segmenter.model
        config = model.config
        clock = StageClock(model.device)
        stage = clock.stage
        prompts = PromptBuilder(self._segmenter.tokenizer, config)
        with stage('preprocess'):
            pixels = torch.from_numpy(image).to(model.device)
            patches, grid = vlm_pixels(pixels, config.patch_size, config.merge_size,
                                       config.temporal_patch_size, config.min_pixels,
                                       config.max_pixels)
            square = sam_pixels(pixels, config.image_size).to(model.dtype)
        with stage('vlm_encode'):
            encoded = model.visual(patches.to(model.dtype), grid)
        sizes = grid.tolist()
        ids = prompts.prompt_ids(instruction, image_token_count(sizes[0], config.merge_size))
        writer = SequenceWriter(config, ids, sizes)
        slots = self._decode(writer, encoded.pooler_output, encoded.deepstack_features, clock)
        phrases = tuple(prompts.decode_words(words) for words in writer.phrase_words)
        instances: list[Instance] = []
        if phrases:
            with stage('sam_encode'):
                vision = model.detector.vision_encoder(square)
            with stage('detect'):
                scores, masks = self._detect(vision, slots, writer.phrase_ids)
            with stage('postprocess'):
                instances = _select(scores, masks, phrases, threshold, image.shape[:2])
        return Segmentation(
            answer=prompts.decode_answer(writer.answer_ids), phrases=phrases,
            instances=tuple(instances), height=image.shape[0], width=image.shape[1],
            timings=clock.seconds())

    def _decode(self, writer: SequenceWriter, tokens: Tensor,
                deepstack: list[Tensor], clock: StageClock) -> list[Tensor]:
        """Write the answer token by token; return the slots [Q, H] of each phrase."""
        model, device = self._segmenter.model, self._segmenter.device
        config = model.config
        language, embed = model.language_model, model.language_model.embed_tokens
        cache = DynamicCache(config=language.config)
        slots: list[Tensor] = []
        with clock.stage('prefill'):
            ids = writer.input_ids().to(device)
            image_rows = ids == config.image_token_id
            embeddings = embed(ids)
            embeddings[image_rows] = tokens.to(embeddings.dtype)
            hidden = language(
                inputs_embeds=embeddings[None], past_key_values=cache, use_cache=True,
                position_ids=writer.position_ids().unsqueeze(1).to(device),
                visual_pos_masks=image_rows[None],
                deepstack_visual_embeds=[level.to(embeddings.dtype) for level in deepstack]
            ).last_hidden_state
            token = int(F.linear(hidden[0, -1], embed.weight).argmax())
        ends = (config.im_end_token_id, config.endoftext_token_id)
        with clock.stage('decode'):
            while len(writer.answer_ids) < config.max_new_tokens:
                if self.script is not None:
                    token = self.script[len(writer.answer_ids)]
                if token in ends:
                    break
                rows = writer.write(token)
                embeddings = embed(writer.input_ids(rows.start).to(device))
                mask = None
                queries = slice(2, 2 + config.max_seg_nums)
                if rows.is_block:
                    embeddings[queries] = model.model.mask_queries
                    mask = attention_from_reach(writer.reach(rows.start), rows.stop)
                    mask = mask[None, None].to(device)
                hidden = language(
                    inputs_embeds=embeddings[None], past_key_values=cache, use_cache=True,
                    position_ids=writer.position_ids(rows.start).unsqueeze(1).to(device),
                    attention_mask=mask).last_hidden_state
                if rows.has_phrase:
                    slots.append(hidden[0, queries])
                token = int(F.linear(hidden[0, -1], embed.weight).argmax())
                if len(writer.block_starts) >= config.max_phrases:
                    break
        return slots

    def _detect(self, vision: Any, slots: list[Tensor],
                phrase_ids: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Return score logits [P, Q] and mask logits [P, Q, h, w]."""
        model, device = self._segmenter.model, self._segmenter.device
        detector, count = model.detector, len(slots)
        padded = torch.zeros((count, TEXT_TOKENS), dtype=torch.long)
        text_mask = torch.zeros((count, TEXT_TOKENS), dtype=torch.bool)
        for row, ids in enumerate(phrase_ids):
            padded[row, :len(ids)] = torch.tensor(ids)
            text_mask[row, :len(ids)] = True
        text_mask = text_mask.to(device)
        text = model.model.text_hidden_fcs[0](model.embed(padded.to(device)))
        text = text * text_mask.unsqueeze(-1)
        # The coarsest level is in the checkpoint but nothing reads it.
        levels, places = ([part.to(text.dtype).repeat(count, 1, 1, 1) for part in parts[:-1]]
                          for parts in (vision.fpn_hidden_states, vision.fpn_position_encoding))
        fused = detector.detr_encoder(
            vision_features=[levels[-1]], text_features=text, vision_pos_embeds=[places[-1]],
            text_mask=text_mask)
        queries = model.model.mask_hidden_fcs[0](torch.stack(slots))
        states = self._refine(queries, fused, text, text_mask)
        scores = detector.dot_product_scoring(states, text, text_mask)
        masks = detector.mask_decoder(
            decoder_queries=states[-1], backbone_features=levels,
            encoder_hidden_states=fused.last_hidden_state, prompt_features=text,
            prompt_mask=text_mask).pred_masks
        return scores[-1].squeeze(-1), masks

    def _refine(self, queries: Tensor, fused: Any, text: Tensor, text_mask: Tensor) -> Tensor:
        """Run the decoder's layers without a presence token: states [layers, P, Q, C]."""
        decoder = self._segmenter.model.detector.detr_decoder
        place = fused.pos_embeds_flattened
        reference = decoder.reference_points.weight.sigmoid()[None].expand(len(queries), -1, -1)
        side = (fused.spatial_shapes[0, 0], fused.spatial_shapes[0, 1])
        hidden, states = queries, []
        for layer in decoder.layers:
            position = decoder.ref_point_head(decoder.position_encoding.encode_boxes(reference))
            bias = decoder._get_rpb_matrix(reference, side)
            placed = hidden + position
            attended, _ = layer.self_attn(query=placed, key=placed, value=hidden,
                                          attention_mask=None)
            hidden = layer.self_attn_layer_norm(hidden + attended)
            attended, _ = layer.text_cross_attn(
                query=hidden + position, key=text, value=text,
                attention_mask=text_mask[:, None, None, :])
            hidden = layer.text_cross_attn_layer_norm(hidden + attended)
            attended, _ = layer.vision_cross_attn(
                query=hidden + position, key=fused.last_hidden_state + place,
                value=fused.last_hidden_state, attention_mask=bias)
            hidden = layer.vision_cross_attn_layer_norm(hidden + attended)
            hidden = layer.mlp_layer_norm(hidden + layer.mlp(hidden))
            states.append(decoder.output_layer_norm(hidden))
            offset = decoder.box_head(states[-1])
            reference = (offset + _sam3.inverse_sigmoid(reference)).sigmoid()
        return torch.stack(states)


def _select(scores: Tensor, masks: Tensor, phrases: tuple[str, ...], threshold: float,
            size: tuple[int, ...]) -> list[Instance]:
    """Keep what scores above the threshold, masks resized to the picture and cut at 0."""
    values = scores.float().sigmoid()
    kept = values > threshold
    if not bool(kept.any()):
        return []
    resized = F.interpolate(masks[kept][None].float(), size=size, mode='bilinear',
                            align_corners=False)[0]
    cut = (resized > 0).cpu().numpy()
    instances = []
    for (p, q), mask in zip(kept.nonzero().tolist(), cut, strict=True):
        box = mask_box(mask)
        if box is not None:
            instances.append(Instance(mask, float(values[p, q]), box, phrases[p]))
    return instances
