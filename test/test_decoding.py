# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding: query blocks, bounds, and answers that are not well-formed."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from instructsam.decoding import DecodingSession, greedy
from instructsam.modeling import InstructSAM
from instructsam.sequence import SequenceBatch

GRID = (1, 4, 4)


@pytest.fixture
def network(tiny_config):
    torch.manual_seed(0)
    return InstructSAM(tiny_config).eval()


def start(model):
    with torch.no_grad():
        vlm = model.encode_vlm_image(torch.randn(16, 1536), [GRID])
    prompt = [1, *[model.config.image_token_id] * 4, 2]
    return DecodingSession(model, prompt, vlm), vlm


def script(session, tokens, monkeypatch):
    """Make the model want these tokens, one after the other, then the end."""
    config = session.model.config
    wanted = iter([*tokens, *[config.im_end_token_id] * 3])
    run = session._run

    def steered(*args, **kwargs):
        hidden = run(*args, **kwargs)
        session.logits = torch.nn.functional.one_hot(
            torch.tensor(next(wanted)), config.vocab_size).float()
        return hidden

    monkeypatch.setattr(session, '_run', steered)
    session.logits = torch.nn.functional.one_hot(
        torch.tensor(next(wanted)), config.vocab_size).float()


def test_greedy_takes_the_likeliest_token_of_the_one_shot_pass(network):
    """An untrained model babbles; each token must be the argmax of the one-shot pass."""
    session, vlm = start(network)
    answer = greedy(session, max_new_tokens=12)
    assert answer.ending in ('max_new_tokens', 'stop')
    sequence = session.sequence()
    with torch.no_grad():
        hidden = network.language(SequenceBatch.collate([sequence]), vlm)
    likeliest = network.logits(hidden[0, sequence.answer_rows]).argmax(-1)
    assert likeliest.tolist() == list(answer.answer_ids[:len(likeliest)])


def test_slots_words_and_the_end(network, monkeypatch):
    config = network.config
    begin, end = config.ref_start_token_index, config.ref_end_token_index
    tokens = [begin, 5, 6, end, 7, begin, 8, end]
    session, vlm = start(network)
    script(session, tokens, monkeypatch)
    answer = greedy(session)
    assert answer.answer_ids == (*tokens, config.im_end_token_id)
    assert answer.ending == 'stop'
    assert answer.phrase_words == ((5, 6), (8,))
    assert answer.phrase_ids.tolist() == [[5, 6], [8, 0]]
    assert answer.phrase_mask.tolist() == [[True, True], [True, False]]
    batch = SequenceBatch.collate([session.sequence()])
    with torch.no_grad():
        expected = network.slots(network.language(batch, vlm), batch)
    # Row by row against all at once: fp32 sums in another order.
    assert_close(answer.slots, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(('tokens', 'phrases'), [
    ([5, 6], ()),
    (['END', 5], ()),
    (['START', 'END', 5], ()),
    (['START', 5], ()),
    (['START', 5, 'START', 6, 'END'], ((6,),)),
    (['END', 'START', 6, 'END', 'END'], ((6,),)),
])
def test_malformed_answers_are_survived(network, monkeypatch, tokens, phrases):
    config = network.config
    names = {'START': config.ref_start_token_index, 'END': config.ref_end_token_index}
    session, _ = start(network)
    script(session, [names.get(token, token) for token in tokens], monkeypatch)
    answer = greedy(session)
    assert answer.ending == 'stop'
    assert answer.phrase_words == phrases
    assert answer.slots.shape == (len(phrases), config.max_seg_nums, config.hidden_size)
    assert answer.phrase_ids.shape[0] == answer.phrase_mask.shape[0] == len(phrases)


def test_decoding_is_bounded(network, monkeypatch):
    config = network.config
    phrase = [config.ref_start_token_index, 5, config.ref_end_token_index]
    session, _ = start(network)
    script(session, phrase * 20, monkeypatch)
    answer = greedy(session)
    assert answer.ending == 'max_phrases'
    assert len(answer.phrase_words) == config.max_phrases == 10
    session, _ = start(network)
    script(session, [5] * 20, monkeypatch)
    answer = greedy(session, max_new_tokens=7)
    assert answer.ending == 'max_new_tokens'
    assert answer.answer_ids == (5,) * 7


def test_endoftext_also_ends_the_answer(network, monkeypatch):
    session, _ = start(network)
    script(session, [5, network.config.endoftext_token_id], monkeypatch)
    assert greedy(session).answer_ids == (5, network.config.endoftext_token_id)


def test_images_that_do_not_match_the_prompt(network):
    with torch.no_grad():
        vlm = network.encode_vlm_image(torch.randn(16, 1536), [GRID])
    with pytest.raises(ValueError, match='has 3 image tokens but .* need 4'):
        DecodingSession(network, [1, *[network.config.image_token_id] * 3], vlm)
