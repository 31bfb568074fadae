# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where tokens, query blocks, positions and masks stand in a sequence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen3VLConfig, Qwen3VLModel

from instructsam.sequence import (
    IGNORED_LABEL,
    SequenceBatch,
    SequenceWriter,
    attention_from_reach,
    build_sequence,
)

GRID = (1, 4, 6)
TOKENS = 6  # 4 * 6 patches, merged 2 x 2


def prompt_of(config, tokens=TOKENS, text=(5, 6, 7)):
    return [config.im_start_token_id, 3, config.vision_start_token_id,
            *[config.image_token_id] * tokens, config.vision_end_token_id, *text,
            config.im_end_token_id, 4]


def answer_of(config, *phrases):
    ids = []
    for words in phrases:
        ids += [10] if ids else []
        ids += [config.ref_start_token_index, *words, config.ref_end_token_index]
    return [*ids, config.im_end_token_id]


def test_every_step_of_the_released_run(parity):
    """Positions and masks of each call of the released code, symbol by symbol."""
    writer = SequenceWriter(parity.config, parity.meta['prompt'], parity.golden['image_grid_thw'])
    calls = parity.meta['calls']
    assert writer.position_ids().tolist() == [calls[0]['position_ids'][0]] * 3
    for call, token in zip(calls[1:], parity.meta['forced'], strict=False):
        rows = writer.write(token)
        assert writer.position_ids(rows.start).tolist() == [call['position_ids'][0]] * 3
        mask = attention_from_reach(writer.reach(rows.start), rows.stop)
        drawn = [''.join('1' if seen else '.' for seen in row) for row in mask.tolist()]
        assert drawn == call['mask_rows']


def test_training_layout_has_the_positions_of_qwen(tiny_config):
    """M-RoPE as the stock model computes it, with the answer and its block contiguous."""
    prompt = prompt_of(tiny_config)
    answer = answer_of(tiny_config, [11, 12], [13])
    sequence = build_sequence(tiny_config, prompt, answer, GRID)
    with torch.device('meta'):
        stock = Qwen3VLModel(Qwen3VLConfig(
            text_config=tiny_config.qwen.text_config.to_dict(),
            vision_config=tiny_config.qwen.vision_config.to_dict(),
            image_token_id=tiny_config.image_token_id))
    ids = sequence.input_ids[None]
    expected, _ = stock.get_rope_index(
        ids, mm_token_type_ids=(ids == tiny_config.image_token_id).int(),
        image_grid_thw=torch.tensor([GRID]))
    assert torch.equal(sequence.position_ids, expected[:, 0])


def test_several_images_have_the_positions_of_qwen(tiny_config):
    grids = [(1, 4, 6), (1, 2, 8)]
    image = tiny_config.image_token_id
    prompt = [1, *[image] * 6, 2, 3, *[image] * 4, 4]
    sequence = build_sequence(tiny_config, prompt, [5], grids)
    with torch.device('meta'):
        stock = Qwen3VLModel(Qwen3VLConfig(
            text_config=tiny_config.qwen.text_config.to_dict(),
            vision_config=tiny_config.qwen.vision_config.to_dict(), image_token_id=image))
    ids = sequence.input_ids[None]
    expected, _ = stock.get_rope_index(ids, mm_token_type_ids=(ids == image).int(),
                                       image_grid_thw=torch.tensor(grids))
    assert torch.equal(sequence.position_ids, expected[:, 0])


@pytest.mark.parametrize('layout', ['released', 'training'])
@pytest.mark.parametrize('attention', ['hybrid', 'causal'])
def test_who_sees_whom(make_tiny_config, layout, attention):
    config = make_tiny_config(layout=layout, attention=attention)
    prompt = prompt_of(config)
    sequence = build_sequence(config, prompt, answer_of(config, [11, 12]), GRID)
    mask = sequence.attention
    rows = sequence.slot_rows[0].tolist()
    ref_end, mask_start, mask_end = rows[0] - 2, rows[0] - 1, rows[-1] + 1
    special = [config.ref_end_token_index, config.seg_start_token_index,
               *[config.seg_token_index] * config.max_seg_nums, config.seg_end_token_index]
    assert sequence.input_ids[ref_end:mask_end + 1].tolist() == special
    causal = torch.ones(len(sequence), len(sequence)).tril().bool()
    text = [row for row in range(len(sequence)) if row not in rows]
    assert torch.equal(mask[text], causal[text]), 'text, markers and mask_end are causal'
    last_seen = {('hybrid', 'released'): mask_end, ('hybrid', 'training'): rows[-1]}
    for row in rows:
        last = last_seen.get((attention, layout), row)
        assert mask[row].nonzero().flatten().tolist() == list(range(last + 1))
    assert mask[mask_start].sum() == mask_start + 1


def test_phrases_carry_markers_only_in_the_released_layout(make_tiny_config):
    words = list(range(11, 51))
    found = {}
    for layout in ('released', 'training'):
        config = make_tiny_config(layout=layout)
        sequence = build_sequence(config, prompt_of(config), answer_of(config, words[:2], words),
                                  GRID)
        found[layout] = [ids.tolist() for ids in sequence.phrase_ids]
    start, end = config.ref_start_token_index, config.ref_end_token_index
    assert found['training'] == [words[:2], words[:32]]
    assert found['released'] == [[start, *words[:2], end], [start, *words[:31]]]


@pytest.mark.parametrize('answer', ['END', 'START 11 12', 'START END', '11 END', 'END END 11',
                                    'START 11 START 12 END', ''])
def test_malformed_answers_are_survived(tiny_config, answer):
    names = {'START': tiny_config.ref_start_token_index, 'END': tiny_config.ref_end_token_index}
    ids = [names[word] if word in names else int(word) for word in answer.split()]
    sequence = build_sequence(tiny_config, prompt_of(tiny_config), ids, GRID)
    blocks = ids.count(names['END'])
    assert len(sequence) == len(prompt_of(tiny_config)) + len(ids) + blocks * 12
    phrases = [p.tolist() for p in sequence.phrase_ids]
    # A second beginning starts the phrase anew; no words or no beginning: no phrase.
    assert phrases == ([[12]] if answer == 'START 11 START 12 END' else [])
    assert sequence.slot_rows.shape == (len(phrases), tiny_config.max_seg_nums)


def test_labels_supervise_the_answer_and_mask_start(tiny_config):
    prompt = prompt_of(tiny_config)
    answer = answer_of(tiny_config, [11, 12], [13])
    sequence = build_sequence(tiny_config, prompt, answer, GRID)
    labels = sequence.labels
    assert labels[sequence.answer_rows].tolist() == answer
    extra = (labels != IGNORED_LABEL).nonzero().flatten().tolist()
    ref_ends = [int(rows[0]) - 2 for rows in sequence.slot_rows]
    assert sorted(extra) == sorted([*sequence.answer_rows.tolist(), *ref_ends])
    assert labels[ref_ends].tolist() == [tiny_config.seg_start_token_index] * 2
    # The token after a phrase is predicted from mask_end, the last row of the block.
    after = sequence.answer_rows[answer.index(10)]
    assert sequence.input_ids[after] == tiny_config.seg_end_token_index


def test_batch_pads_and_points_to_the_same_rows(tiny_config):
    prompt = prompt_of(tiny_config)
    answers = [answer_of(tiny_config, [11]), answer_of(tiny_config, [12, 13], [14]), [15]]
    sequences = [build_sequence(tiny_config, prompt, ids, GRID) for ids in answers]
    batch = SequenceBatch.collate(sequences)
    width = max(len(s) for s in sequences)
    assert batch.input_ids.shape == (3, width)
    assert batch.attention.shape == (3, 1, width, width)
    assert batch.phrase_sequence.tolist() == [0, 1, 1]
    assert batch.phrase_mask.sum(1).tolist() == [1, 2, 1]
    for i, s in enumerate(sequences):
        n = len(s)
        assert torch.equal(batch.attention[i, 0, :n, :n], s.attention)
        assert not batch.attention[i, 0, :n, n:].any(), 'no real row sees padding'
        assert batch.attention[i, 0].diagonal().all(), 'padding rows see something'
        assert torch.equal(batch.position_ids[:, i, :n], s.position_ids)
    flat = batch.input_ids.flatten()
    assert (flat[batch.slot_index] == tiny_config.seg_token_index).all()
    assert (flat[batch.image_index] == tiny_config.image_token_id).all()
    assert batch.slot_index.numel() == 3 * tiny_config.max_seg_nums


def test_mismatches_are_named(tiny_config):
    with pytest.raises(ValueError, match='has 6 image tokens but .* need 8'):
        build_sequence(tiny_config, prompt_of(tiny_config), [], (1, 4, 8))
    with pytest.raises(ValueError, match='prompt is empty'):
        build_sequence(tiny_config, [], [], None)
    with pytest.raises(ValueError, match='no sequences'):
        SequenceBatch.collate([])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_answer_keeps_its_invariants(make_tiny_config, data):
    """Whatever the model says, in either layout, rows and reach stay consistent."""
    config = make_tiny_config(layout=data.draw(st.sampled_from(['released', 'training'])),
                              attention=data.draw(st.sampled_from(['hybrid', 'causal'])))
    special = [config.ref_start_token_index, config.ref_end_token_index, config.image_token_id,
               config.seg_token_index, config.im_end_token_id]
    answer = data.draw(st.lists(st.one_of(st.integers(0, 255), st.sampled_from(special)),
                                max_size=30))
    sequence = build_sequence(config, prompt_of(config), answer, GRID)
    rows = torch.arange(len(sequence))
    assert (sequence.reach >= rows).all() and (sequence.reach < len(sequence)).all()
    blocks = answer.count(config.ref_end_token_index)
    assert len(sequence) == len(prompt_of(config)) + len(answer) + blocks * (config.block_size - 1)
    assert sequence.query_rows.numel() == blocks * config.max_seg_nums
    assert len(sequence.phrase_ids) == len(sequence.slot_rows) <= blocks
    assert all(0 < ids.numel() <= config.phrase_max_tokens for ids in sequence.phrase_ids)
    # Placeholders that the model itself writes are text, not images.
    assert sequence.image_rows.numel() == TOKENS
    steps = sequence.position_ids[:, len(prompt_of(config)):].diff(dim=1)
    assert ((steps == 1) | ((steps >= 0) & (config.layout == 'released') & (steps <= 2))).all()
