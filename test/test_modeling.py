# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network against a run of the released code, and against itself."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from instructsam.configuration import InstructSAMConfig
from instructsam.decoding import DecodingSession
from instructsam.modeling import InstructSAM
from instructsam.sequence import SequenceBatch, build_sequence

# Other CPUs and thread counts sum in another order. Values reach about 4 here (logits 14), so
# fp32 rounding through a few layers stays well below 1e-5 (logits 3e-5).
EXACT = {'atol': 1e-5, 'rtol': 1e-5}
LOGITS = {'atol': 3e-5, 'rtol': 1e-5}
# One pass over all rows against row by row: other matrix shapes, the same mathematics.
ONE_SHOT = {'atol': 1e-4, 'rtol': 1e-4}


@pytest.fixture(scope='module')
def released(parity):
    """The network with the parity weights."""
    model = InstructSAM(parity.config).eval()
    missing, unexpected = model.load_state_dict(parity.weights, strict=True)
    assert not missing and not unexpected
    return model


@pytest.fixture(scope='module')
def vlm(released, parity):
    golden = parity.golden
    with torch.no_grad():
        return released.encode_vlm_image(golden['pixel_values'], golden['image_grid_thw'])


@pytest.fixture(scope='module')
def decoded(released, parity, vlm):
    session = DecodingSession(released, parity.meta['prompt'], vlm)
    for token in parity.meta['forced'][:-1]:
        session.feed(token)
    return session.finish('stop', parity.meta['forced'][-1])


def test_vision_tower(vlm, parity):
    assert_close(vlm.tokens[0], parity.golden['visual.embeds'], **EXACT)
    for level, (features,) in enumerate(vlm.deepstack):
        assert_close(features, parity.golden[f'visual.deepstack.{level}'], **EXACT)


def test_every_language_model_call(released, parity, vlm):
    golden = parity.golden
    session = DecodingSession(released, parity.meta['prompt'], vlm)
    for number in range(len(parity.meta['calls'])):
        if number:
            session.feed(parity.meta['forced'][number - 1])
        call = f'lm_call.{number:02d}.'
        assert_close(session.hidden, golden[call + 'last_hidden_state'][0], **EXACT)
        assert_close(session.logits, golden[call + 'logits_last'][0], **LOGITS)
        assert_close(session.cache.layers[0].keys, golden[call + 'k0'], **EXACT)
        assert_close(session.cache.layers[0].values, golden[call + 'v0'], **EXACT)


def test_slots(decoded, parity):
    assert_close(decoded.slots, parity.golden['seg_output_embeddings'], **EXACT)
    assert list(decoded.answer_ids) == parity.golden['out_ids'][0].tolist()


@torch.inference_mode()
def test_masks_and_scores_end_to_end(released, decoded, parity):
    golden = parity.golden
    assert_close(released.project_slots(decoded.slots), golden['sam3_in.query_embed'], **EXACT)
    width = decoded.phrase_ids.shape[1]
    text = released.phrase_text(decoded.phrase_ids, decoded.phrase_mask)
    mask = golden['sam3_in.attention_mask'][:, :width].bool()
    assert torch.equal(decoded.phrase_mask, mask)
    assert_close(text[mask], golden['sam3_in.text_embeds'][:, :width][mask], **EXACT)
    features = released.detector.encode_image(golden['sam_pixel_values'][None])
    found = released.ground(features.select(torch.zeros(3, dtype=torch.long)), decoded.slots,
                            decoded.phrase_ids, decoded.phrase_mask)
    assert_close(found.score_logits.sigmoid(), golden['pred_scores_sigmoid'], **EXACT)
    assert_close(found.score_logits, golden['sam3.pred_logits'], **LOGITS)
    # Mask logits are sums over the embedding and reach about 15.
    assert_close(found.mask_logits, golden['pred_masks'], **LOGITS)
    centre, size = found.boxes.split(2, dim=-1)
    corners = torch.cat((centre - size / 2, centre + size / 2), dim=-1)
    assert_close(corners, golden['sam3.pred_boxes'], **EXACT)


@pytest.mark.parametrize('layout', ['released', 'training'])
@pytest.mark.parametrize('attention', ['hybrid', 'causal'])
def test_one_shot_gives_the_slots_of_decoding(released, parity, vlm, layout, attention):
    """Also beside a shorter sequence, so that padding is seen to be harmless."""
    values = {**released.config.to_dict(), 'layout': layout, 'attention': attention}
    config = InstructSAMConfig.from_dict(values)
    model = InstructSAM(config).eval()
    model.load_state_dict(parity.weights)
    prompt, forced = parity.meta['prompt'], parity.meta['forced']
    session = DecodingSession(model, prompt, vlm)
    logits = []
    for token in forced[:-1]:
        logits.append(session.logits)
        session.feed(token)
    stepwise = session.finish('stop').slots
    grid = parity.golden['image_grid_thw']
    sequences = [build_sequence(config, prompt, ids, grid) for ids in (forced[:5], forced)]
    batch = SequenceBatch.collate(sequences)
    with torch.no_grad():
        hidden = model.language(batch, vlm.select([0, 0]))
    slots = model.slots(hidden, batch)
    assert slots.shape == (4, 10, config.hidden_size)
    assert_close(slots[1:], stepwise, **ONE_SHOT)
    assert_close(slots[:1], stepwise[:1], **ONE_SHOT)
    rows = sequences[1].answer_rows[:len(logits)]
    assert_close(model.logits(hidden[1, rows]), torch.stack(logits), **ONE_SHOT)


def test_layouts_and_attention_matter(released, parity, vlm, decoded):
    """Each combination gives its own slots: a test against a switch that does nothing."""
    seen = [decoded.slots]
    for layout, attention in (('released', 'causal'), ('training', 'hybrid'),
                              ('training', 'causal')):
        config = InstructSAMConfig.from_dict(
            {**released.config.to_dict(), 'layout': layout, 'attention': attention})
        model = InstructSAM(config).eval()
        model.load_state_dict(parity.weights)
        session = DecodingSession(model, parity.meta['prompt'], vlm)
        for token in parity.meta['forced'][:5]:
            session.feed(token)
        slots = session.finish('stop').slots
        # The published differences move slots by about 1 on a scale of 4.
        assert all((slots - other[:1]).abs().max() > 0.1 for other in seen)
        seen.append(slots)


def test_one_shot_has_gradients_everywhere(tiny_config):
    """The language side trains: queries, embeddings, vision tower and all layers."""
    torch.manual_seed(0)
    model = InstructSAM(tiny_config)
    vlm = model.encode_vlm_image(torch.randn(32, 1536), [(1, 4, 4), (1, 4, 4)])
    prompt = [1, *[tiny_config.image_token_id] * 4, 2]
    answer = [tiny_config.ref_start_token_index, 5, tiny_config.ref_end_token_index]
    sequences = [build_sequence(tiny_config, prompt, answer, (1, 4, 4)) for _ in range(3)]
    batch = SequenceBatch.collate(sequences)
    hidden = model.language(batch, vlm.select([0, 1, 1]))
    loss = model.project_slots(model.slots(hidden, batch)).square().mean()
    loss = loss + model.phrase_text(batch.phrase_ids, batch.phrase_mask).square().mean()
    loss.backward()
    parts = {name: p for name, p in model.named_parameters() if 'grounding_model' not in name}
    without = [name for name, p in parts.items() if p.grad is None or not p.grad.any()]
    assert without == []


def test_images_of_one_size_and_of_several(tiny_config):
    """Packing images, equal or not, gives what each image gives alone."""
    torch.manual_seed(0)
    model = InstructSAM(tiny_config).eval()
    for grids in ([(1, 4, 4), (1, 4, 4)], [(1, 4, 4), (1, 2, 6)]):
        pixels = [torch.randn(h * w, 1536) for _, h, w in grids]
        with torch.no_grad():
            packed = model.encode_vlm_image(torch.cat(pixels), torch.tensor(grids))
            for i, grid in enumerate(grids):
                alone = model.encode_vlm_image(pixels[i], [grid])
                assert_close(packed.tokens[i], alone.tokens[0], **EXACT)
                assert_close(packed.deepstack[0][i], alone.deepstack[0][0], **EXACT)
    with pytest.raises(ValueError, match='need 16 patches but 4'):
        model.encode_vlm_image(torch.randn(4, 1536), [(1, 4, 4)])


def test_images_must_fill_the_sequences(tiny_config):
    model = InstructSAM(tiny_config).eval()
    vlm = model.encode_vlm_image(torch.randn(16, 1536), [(1, 4, 4)])
    prompt = [1, *[tiny_config.image_token_id] * 4, 2]
    batch = SequenceBatch.collate([build_sequence(tiny_config, prompt, [3], (1, 4, 4))] * 2)
    with pytest.raises(ValueError, match='give 4 tokens but .* 8 places'):
        model.language(batch, vlm)


def test_a_cast_to_bf16_keeps_position_tables_in_fp32(tiny_config):
    model = InstructSAM(tiny_config)
    tables = {name: table.clone() for name, table in model.named_buffers()}
    model.to(torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert tables and {name for name, _ in model.named_buffers()} == set(tables)
    for name, table in model.named_buffers():
        assert table.dtype == torch.float32
        assert torch.equal(table, tables[name]), name


def test_bf16_follows_fp32(released, parity, vlm, decoded):
    model = InstructSAM(parity.config).eval()
    model.load_state_dict(parity.weights)
    model.to(torch.bfloat16)
    golden = parity.golden
    with torch.no_grad():
        images = model.encode_vlm_image(golden['pixel_values'].bfloat16(),
                                        golden['image_grid_thw'])
    session = DecodingSession(model, parity.meta['prompt'], images)
    for token in parity.meta['forced'][:-1]:
        session.feed(token)
    slots = session.finish('stop').slots
    assert slots.dtype == torch.bfloat16
    # bf16 has 8 bits: 0.4 % a step, some ten steps. A wrong position table moves slots by 1.
    assert (slots.float() - decoded.slots).abs().mean() < 0.05
