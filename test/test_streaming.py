# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stream: whatever the draft, tokens and masks are those of decoding step by step."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from instructsam.decoding import DecodingSession, greedy
from instructsam.drafting import MAX_GUESS, DraftedPrompt, Guesses, quoted_phrases
from instructsam.modeling import InstructSAM
from instructsam.prompts import PromptBuilder
from instructsam.segmenter import InstructSAMSegmenter

GRID = (1, 4, 4)
# of this seed the tiny model names a phrase
TALKATIVE = 4
PICTURES = 40
DRAFTS = 25
BOUNDS = {'max_new_tokens': 20, 'max_phrases': 4}


def make_model(config, seed=0):
    torch.manual_seed(seed)
    model = InstructSAM(config).eval()
    with torch.no_grad():  # untrained mask logits are all but constant: spread them
        model.detector.mask_decoder.instance_projection.weight.normal_(std=1.0)
    return model


class Babble:
    """Logits of a model that says little but phrases: a random function of its hidden states.

    An untrained model repeats one token. This keeps it to a few words, both markers and the end,
    and remembers how close the two likeliest came.
    """

    def __init__(self, config, seed):
        generator = torch.Generator().manual_seed(seed)
        self.tokens = torch.tensor([
            5, 6, 7, config.ref_start_token_index, config.ref_start_token_index,
            config.ref_end_token_index, config.im_end_token_id])
        self.weights = torch.randn(config.hidden_size, len(self.tokens), generator=generator)
        self.size = config.vocab_size
        self.margin = float('inf')

    def __call__(self, hidden):
        said = hidden @ self.weights
        best = said.topk(2).values
        self.margin = min(self.margin, float((best[..., 0] - best[..., 1]).min()))
        logits = said.new_full((*said.shape[:-1], self.size), -1e9)
        return logits.index_copy(-1, self.tokens, said)


def drafts_of(answer, config, rng):
    """Drafts right, cut short, too long, wrong at some place, and beside the point."""
    yield answer
    words = [5, 6, 8, config.ref_start_token_index, config.ref_end_token_index]
    while True:
        kind, at = rng.randrange(5), rng.randrange(len(answer) + 1)
        if kind == 0:
            yield answer[:at]
        elif kind == 1:
            yield answer + rng.choices(words, k=rng.randint(1, 20))
        elif kind == 2:
            yield answer[:at] + [rng.choice(words)] + answer[at + 1:]
        elif kind == 3:
            yield answer[:at] + rng.choices(words, k=rng.randint(1, 3)) + answer[at:]
        else:
            yield rng.choices(words, k=rng.randint(1, 20))


@pytest.mark.parametrize('layout', ['released', 'training'])
def test_any_draft_gives_what_greedy_decoding_gives(make_tiny_config, layout, monkeypatch):
    """20 pictures x 25 drafts for each layout: a thousand cases."""
    config = make_tiny_config(layout=layout)
    model = make_model(config)
    rng = random.Random(layout)
    seen = {'phrases': set(), 'endings': set(), 'foreseen': set()}
    for seed in range(PICTURES // 2):
        torch.manual_seed(seed)
        with torch.no_grad():
            vlm = model.encode_vlm_image(torch.randn(16, 1536), [GRID])
            features = model.detector.encode_image(
                torch.randn(1, 3, config.image_size, config.image_size))
        prompt = [1, *[config.image_token_id] * 4, *range(10, 12 + seed % 5)]
        babble = Babble(config, seed)
        monkeypatch.setattr(model, 'logits', babble)
        expected = greedy(DecodingSession(model, prompt, vlm), **BOUNDS)
        # where two tokens are as likely as not, rounding may choose
        if babble.margin < 1e-4:
            continue
        masks = grounded(model, features, expected)
        given = [t for t in expected.answer_ids if t != config.im_end_token_id]
        drafts = drafts_of(given, config, rng)
        for number in range(DRAFTS):
            draft = next(drafts)
            drafted = DraftedPrompt(config, prompt, [GRID], draft)
            answer = greedy(DecodingSession(model, drafted, vlm), **BOUNDS)
            assert answer.answer_ids == expected.answer_ids
            assert answer.phrase_words == expected.phrase_words
            assert answer.ending == expected.ending
            assert answer.foreseen == agreement(draft, given)
            assert torch.equal(answer.phrase_ids, expected.phrase_ids)
            assert torch.equal(answer.phrase_mask, expected.phrase_mask)
            # fp32 sums in another order
            assert_close(answer.slots, expected.slots, atol=1e-5, rtol=1e-5)
            if number < 5:  # slots as close as that give the same masks, and cost less to compare
                assert_close(grounded(model, features, answer), masks, atol=1e-4, rtol=0)
            seen['foreseen'].add(answer.foreseen)
        seen['phrases'].add(len(expected.phrase_words))
        seen['endings'].add(expected.ending)
    # the cases are not all of one kind
    assert len(seen['phrases']) >= 3
    assert seen['endings'] == {'stop', 'max_phrases', 'max_new_tokens'}
    assert len(seen['foreseen']) >= 10


def agreement(draft, answer):
    """Return how many tokens of an answer a draft has right before its first error."""
    same = 0
    for drafted, said in zip(draft, answer, strict=False):
        if drafted != said:
            break
        same += 1
    return same


def grounded(model, features, answer):
    if not len(answer.slots):
        return torch.zeros(0)
    with torch.no_grad():
        rows = torch.zeros(len(answer.slots), dtype=torch.long)
        found = model.ground(features.select(rows), answer.slots, answer.phrase_ids,
                             answer.phrase_mask)
    return found.mask_logits


def test_a_confirmed_draft_takes_one_pass(tiny_config, monkeypatch):
    model = make_model(tiny_config)
    with torch.no_grad():
        vlm = model.encode_vlm_image(torch.randn(16, 1536), [GRID])
    prompt = [1, *[tiny_config.image_token_id] * 4]
    monkeypatch.setattr(model, 'logits', Babble(tiny_config, 1))
    expected = greedy(DecodingSession(model, prompt, vlm), **BOUNDS)
    passes = []
    run = DecodingSession._run
    monkeypatch.setattr(DecodingSession, '_run',
                        lambda self, *args: passes.append(1) or run(self, *args))
    drafted = DraftedPrompt(tiny_config, prompt, [GRID], expected.answer_ids)
    for _ in range(2):  # a prompt that is laid out serves many pictures
        answer = greedy(DecodingSession(model, drafted, vlm), **BOUNDS)
        assert answer.answer_ids == expected.answer_ids
    assert len(passes) == 2


def named(config, *names):
    """Tokens of an answer that names phrases of two words."""
    tokens = []
    for name in names:
        tokens += [config.ref_start_token_index, name, name + 1, config.ref_end_token_index, 9]
    return tokens[:-1]


@pytest.mark.parametrize('layout', ['released', 'training'])
@pytest.mark.parametrize(('names', 'drafted', 'most'), [
    ((20, 30, 40), (20, 30, 40), 1),
    # left out: the rest of the draft is found again
    ((20, 40), (20, 30, 40), 2), ((30, 40), (20, 30, 40), 3), ((20,), (20, 30), 1),
    # changed: two words that are not in the draft, and the end of their phrase with the rest
    ((20, 50, 40), (20, 30, 40), 4),
    # put in, at the end and in front
    ((20, 30, 40), (20, 30), 5), ((20, 30, 40), (30, 40), 6),
    # nothing of the draft is right but its form
    ((50, 60), (20, 30, 40), 7),
    ((20, 30), (), 10),
])
def test_what_is_left_of_a_draft_is_used(
        make_tiny_config, monkeypatch, layout, names, drafted, most):
    config = make_tiny_config(layout=layout)
    model = make_model(config)
    with torch.no_grad():
        vlm = model.encode_vlm_image(torch.randn(16, 1536), [GRID])
    prompt = [1, *[config.image_token_id] * 4, 10, 11]
    script = [*named(config, *names), config.im_end_token_id]
    monkeypatch.setattr(DecodingSession, 'likeliest',
                        lambda self: script[len(self.answer_ids)])
    passes = []
    run = DecodingSession._run
    monkeypatch.setattr(DecodingSession, '_run',
                        lambda self, *args: passes.append(1) or run(self, *args))
    stepped = greedy(DecodingSession(model, prompt, vlm))
    assert len(passes) == len(script)
    passes.clear()
    draft = DraftedPrompt(config, prompt, [GRID], named(config, *drafted))
    answer = greedy(DecodingSession(model, draft, vlm))
    assert len(passes) <= most
    assert answer.answer_ids == stepped.answer_ids == tuple(script)
    assert answer.phrase_words == stepped.phrase_words
    # fp32 sums in another order
    assert_close(answer.slots, stepped.slots, atol=1e-5, rtol=1e-5)


@given(draft=st.lists(st.integers(0, 5), max_size=40), said=st.lists(st.integers(0, 6)))
def test_guesses_are_parts_of_the_draft_and_few(draft, said):
    """Never beyond a phrase's end, and never another guess where the last was all wrong."""
    guesses = Guesses(draft, phrase_end=0)
    ahead = list(draft)
    for token in said:
        if ahead and ahead[0] == token:
            guesses.confirm()
            del ahead[0]
            continue
        ahead = guesses.after(token, refuted=bool(ahead))
        assert len(ahead) <= MAX_GUESS
        assert 0 not in ahead[:-1]
        text, part = ' '.join(map(str, draft)), ' '.join(map(str, ahead))
        assert part in text


def test_no_guess_follows_a_wrong_one_without_a_reason():
    guesses = Guesses([1, 2, 3, 0], phrase_end=0)
    assert guesses.after(7, refuted=True) == [2, 3, 0]
    # nothing of it was right, and 8 is not in the draft
    assert guesses.after(8, refuted=True) == []
    assert guesses.after(9, refuted=False) == []
    # 2 is where the draft was left
    assert guesses.after(2, refuted=False) == [3, 0]


@pytest.mark.parametrize(('text', 'phrases'), [
    ("Please segment 'red mug'.", ('red mug',)),
    ('Can you segment "red  mug" and “blue cup” in this image?', ('red mug', 'blue cup')),
    ("Find the cat's bowl and the dogs' ball", ()),
    ("the text 'it's here'", ("it's here",)),
    ("''", ()), ("' '", ()), ('', ()), ('"', ()),
])
def test_quoted_phrases(text, phrases):
    assert quoted_phrases(text) == phrases


@pytest.fixture
def segmenter(tiny_config, tiny_tokenizer):
    return InstructSAMSegmenter(make_model(tiny_config), tiny_tokenizer)


def picture(seed, height=48, width=64):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(one, other):
    """Whether two segmentations are the same but for rounding and times."""
    assert one.answer == other.answer
    assert one.phrases == other.phrases
    assert [i.phrase for i in one.instances] == [i.phrase for i in other.instances]
    for a, b in zip(one.instances, other.instances, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)
        # a pixel on the very edge may round either way
        assert np.count_nonzero(a.mask != b.mask) <= 2
    return True


def test_stream_follows_pictures_instructions_and_sizes(segmenter, monkeypatch):
    monkeypatch.setattr(segmenter.model, 'logits', Babble(segmenter.model.config, TALKATIVE))
    monkeypatch.setattr(segmenter.model.config, 'max_new_tokens', 20)
    stream = segmenter.stream()
    texts = ['the red mug', 'the red mug', 'the red mug', "segment 'blue cup'", 'the red mug']
    for number, text in enumerate(texts):
        for image in (picture(number // 2), picture(number, 64, 48)):
            same(stream.segment(image, text, threshold=0.3),
                 segmenter.segment(image, text, threshold=0.3))
    assert stream.counters.pictures == 10


def test_a_standing_picture_is_confirmed(segmenter, monkeypatch):
    monkeypatch.setattr(segmenter.model, 'logits', Babble(segmenter.model.config, TALKATIVE))
    monkeypatch.setattr(segmenter.model.config, 'max_new_tokens', 20)
    stream = segmenter.stream()
    for _ in range(4):
        found = stream.segment(picture(0), ' the red mug ', threshold=0.3)
    assert found.phrases
    counters = stream.counters
    assert (counters.pictures, counters.drafted, counters.confirmed) == (4, 3, 3)
    stream.reset()
    stream.segment(picture(0), 'the red mug', threshold=0.3)
    assert stream.counters.drafted == 3


def test_instructions_about_one_picture_share_its_encoders(segmenter, monkeypatch):
    model = segmenter.model
    monkeypatch.setattr(model, 'logits', Babble(model.config, TALKATIVE))
    monkeypatch.setattr(model.config, 'max_new_tokens', 20)
    seen = []
    for owner, name in ((model, 'encode_vlm_image'), (model.detector, 'encode_image')):
        encode = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, encode=encode, name=name: (
            seen.append(name), encode(*given))[1])
    first = segmenter.stream()
    streams = {'the red mug': first, 'the blue cup': first.sibling(), 'a box': first.sibling()}
    image = picture(0)
    # of these pictures the tiny model names a phrase
    for number in (0, 2):
        # cameras write into the same memory
        image[:] = picture(number)
        expected = [segmenter.segment(image, text, threshold=0.3) for text in streams]
        del seen[:]
        found = [one.segment(image, text, threshold=0.3) for text, one in streams.items()]
        for one, other in zip(found, expected, strict=True):
            same(one, other)
        assert all(one.phrases for one in found)
        assert sorted(seen) == ['encode_image', 'encode_vlm_image']
        # as if each had encoded the picture
        assert not found[0].reused and 'vlm_encode' in found[1].reused
        assert found[1].timings['vlm_encode'] == found[0].timings['vlm_encode'] > 0
    # another array with equal pixels is the same picture; one pixel more makes another
    first.segment(image.copy(), 'the red mug', threshold=0.3)
    assert sorted(seen) == ['encode_image', 'encode_vlm_image']
    image[5, 7] ^= 1
    first.segment(image, 'the red mug', threshold=0.3)
    assert seen.count('encode_vlm_image') == 2


def test_a_quoted_phrase_is_the_first_draft(segmenter, monkeypatch):
    builder = PromptBuilder(segmenter.tokenizer, segmenter.model.config)
    ids = builder.answer_ids('<|object_ref_start|>red mug<|object_ref_end|>')
    vocabulary = segmenter.model.config.vocab_size

    def logits(hidden):
        """Give the answer's tokens in order: all of them in the first pass."""
        assert len(hidden.shape) == 2, 'the answer was decoded by steps'
        assert len(hidden) == len(ids)
        return torch.nn.functional.one_hot(torch.tensor(ids), vocabulary).float()

    run = DecodingSession._run

    def quiet(self, *args):
        # the last row's own logits are not those of the draft: leave them out
        self.model.logits, kept = lambda hidden: hidden, self.model.logits
        hidden = run(self, *args)
        self.model.logits = kept
        return hidden

    monkeypatch.setattr(segmenter.model, 'logits', logits)
    monkeypatch.setattr(DecodingSession, '_run', quiet)
    stream = segmenter.stream()
    found = stream.segment(picture(0), "Please segment 'red mug'.")
    assert found.phrases == ('red mug',)
    assert stream.counters.confirmed == 1


@pytest.mark.parametrize('image', [None, np.zeros((4, 4), np.uint8), picture(0).astype(float)])
def test_bad_pictures_are_named_and_nothing_is_lost(segmenter, monkeypatch, image):
    monkeypatch.setattr(segmenter.model, 'logits', Babble(segmenter.model.config, TALKATIVE))
    monkeypatch.setattr(segmenter.model.config, 'max_new_tokens', 20)
    stream = segmenter.stream()
    stream.segment(picture(0), 'the red mug')
    with pytest.raises(ValueError, match='uint8 RGB array'):
        stream.segment(image, 'the red mug')
    stream.segment(picture(0), 'the red mug')
    assert stream.counters.confirmed == 1
