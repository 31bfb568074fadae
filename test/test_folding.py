# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What inference on a CPU does in another way: equal to training's, also after weights learnt."""

from __future__ import annotations

import gc
import importlib
import weakref
from typing import Any

import pytest
import torch
from test_detector import REORDERED, Inputs, build, run
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import DynamicCache

from instructsam import folding
from instructsam.detector_layers import attend, attend_text
from instructsam.drafting import DraftedPrompt
from instructsam.folding import folded
from instructsam.modeling import InstructSAM
from instructsam.vlm import run_language

# fp32 sums in another order, values up to 5
CLOSE: dict[str, Any] = {'atol': 2e-5, 'rtol': 1e-5}
GRID = (1, 4, 4)


def learn(module: nn.Module) -> None:
    """Change all weights in place, as an optimiser does."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))


@pytest.mark.parametrize(('images', 'phrases'), [(1, 1), (1, 3), (2, 5)])
def test_the_detector_in_inference_is_that_of_training_also_after_a_step(
        images: int, phrases: int) -> None:
    detector, inputs = build(), Inputs(images, phrases)
    seen = []
    for _ in range(2):
        expected = run(detector, inputs)
        with torch.inference_mode():
            for _ in range(2):  # as it is made, and as it is found again
                found = run(detector, inputs)
                for name, value in found.items():
                    assert_close(value, expected[name].detach(), **CLOSE, msg=name)
        seen.append(found['masks'])
        learn(detector)
    assert float((seen[0] - seen[1]).abs().max()) > 0.1  # the step did change something


@pytest.mark.parametrize('tokens', [1, 3, 40])
@torch.inference_mode()
def test_text_is_attended_to_as_by_the_stock_module(tokens: int) -> None:
    """Also by a phrase without words, whose stock result is the bias of the output alone."""
    stock = importlib.import_module('transformers.models.sam3.modeling_sam3')
    settings = importlib.import_module('transformers').Sam3Config(
        mask_decoder_config={'hidden_size': 64, 'num_attention_heads': 4}).mask_decoder_config
    settings._attn_implementation = 'sdpa'
    torch.manual_seed(0)
    attention = stock.Sam3Attention(settings)
    for name in ('q_proj', 'k_proj', 'v_proj', 'o_proj'):
        nn.init.normal_(getattr(attention, name).bias)
    query, text = torch.randn(4, 49, 64), 3 * torch.randn(4, tokens, 64)
    mask = (torch.arange(tokens) < torch.tensor([0, 1, 2, tokens])[:, None])[:, None, None]
    expected = attention(query=query, key=text, value=text, attention_mask=mask)[0]
    assert_close(attend_text(attention, query, text, mask), expected, **REORDERED)
    assert_close(attend(attention, query, text, text, mask), expected, **REORDERED)


def test_the_vision_tower_in_inference_is_that_of_training_also_after_a_step(
        tiny_config: Any) -> None:
    torch.manual_seed(0)
    model = InstructSAM(tiny_config).eval()
    assert model.visual.config.hidden_act == 'gelu_pytorch_tanh'
    patches = torch.randn(16, 1536)
    for _ in range(2):
        expected = model.encode_vlm_image(patches, [GRID])
        with torch.inference_mode():
            for _ in range(2):
                found = model.encode_vlm_image(patches, [GRID])
                assert_close(found.tokens[0], expected.tokens[0].detach(), **CLOSE)
                for level, same in zip(found.deepstack, expected.deepstack, strict=True):
                    assert_close(level[0], same[0].detach(), **CLOSE)
        learn(model.visual)


@pytest.mark.parametrize('learns', [False, True])
def test_one_frame_of_a_still_picture_says_as_much_as_two(tiny_config: Any, learns: bool) -> None:
    torch.manual_seed(0)
    model = InstructSAM(tiny_config).eval()
    frame = torch.randn(16, 3, 1, 256)
    with torch.set_grad_enabled(learns):
        twice = model.encode_vlm_image(frame.expand(-1, -1, 2, -1).reshape(16, -1), [GRID])
        once = model.encode_vlm_image(frame.reshape(16, -1), [GRID])
    assert_close(once.tokens[0], twice.tokens[0], **CLOSE)


@torch.inference_mode()
def test_masks_are_spared_for_phrases_of_which_nothing_is_found(tiny_config: Any) -> None:
    torch.manual_seed(0)
    model = InstructSAM(tiny_config).eval()
    size = tiny_config.image_size
    features = model.detector.encode_image(torch.rand(1, 3, size, size) * 2 - 1)
    features = features.select(torch.zeros(3, dtype=torch.long))
    slots = 10 * torch.randn(3, tiny_config.max_seg_nums, tiny_config.hidden_size)
    ids, mask = torch.tensor([[5, 6], [7, 0], [8, 9]]), torch.tensor([[1, 1], [1, 0], [1, 1]]) > 0
    every = model.ground(features, slots, ids, mask)
    best = every.score_logits.sigmoid().amax(-1)
    assert len(best.unique()) == 3
    for threshold in (0.0, *((best.sort().values[:-1] + best.sort().values[1:]) / 2).tolist(), 1.0):
        some = model.ground(features, slots, ids, mask, threshold=threshold)
        assert torch.equal(some.score_logits, every.score_logits)
        assert torch.equal(some.boxes, every.boxes)
        kept = best > threshold
        assert_close(some.mask_logits[kept], every.mask_logits[kept], **CLOSE)
        assert some.mask_logits.shape == every.mask_logits.shape
        assert not some.mask_logits[~kept].any()


@pytest.mark.parametrize('levels', [1, None])
@torch.inference_mode()
def test_rows_that_nobody_asks_for_change_nothing(tiny_config: Any, levels: int | None) -> None:
    """Neither hidden states nor keys and values; also where the last layer adds image features."""
    torch.manual_seed(0)
    language = InstructSAM(tiny_config).eval().language_model
    begin, end = tiny_config.ref_start_token_index, tiny_config.ref_end_token_index
    prompt = DraftedPrompt(tiny_config, [1, 2, *[tiny_config.image_token_id] * 4], [GRID],
                           [begin, 5, end])
    rows, first = len(prompt), 5  # the last of the image
    embeddings = torch.randn(1, rows, tiny_config.hidden_size)
    added = [torch.randn(4, tiny_config.hidden_size)
             for _ in range(levels or len(language.layers))]

    def hidden(**asked: int) -> tuple[Tensor, Any]:
        cache = DynamicCache(config=language.config)
        return run_language(
            language, embeddings, prompt.position_ids.unsqueeze(1), prompt.attention, cache=cache,
            image_index=prompt.image_rows, deepstack=added, **asked), cache

    (every, known), (some, kept) = hidden(), hidden(first_row=first)
    assert some.shape == (1, rows - first, tiny_config.hidden_size)
    assert_close(some, every[:, first:], **CLOSE)
    for one, other in zip(known.layers, kept.layers, strict=True):
        assert_close(one.keys, other.keys, **CLOSE)
        assert_close(one.values, other.values, **CLOSE)


def test_what_was_made_goes_with_its_owner_and_is_not_kept_without_end() -> None:
    owner, weight = nn.Linear(2, 2), torch.zeros(2)
    made = []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [folded(owner, 'a', [weight], make) for _ in range(3)] == [1, 1, 1]
    weight.add_(1)
    assert folded(owner, 'a', [weight], make) == 2
    for number in range(200):
        folded(owner, number, [weight], make)
    assert len(folding._made[owner]) <= 64
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
