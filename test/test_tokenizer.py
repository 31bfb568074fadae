# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop vocabulary."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam.tabletop.grammar import KINDS, answer_text, sample_instruction
from instructsam.tabletop.render import sample_frame
from instructsam.tabletop.sentences import words_of
from instructsam.tabletop.tokenizer import SPECIAL_TOKENS, VOCABULARY_LIMIT, build_tokenizer
from instructsam.tabletop.vocabulary import grammar_words


@pytest.fixture(scope='module')
def tokenizer():
    return build_tokenizer()


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)['input_ids']


def test_vocabulary(tokenizer):
    assert len(tokenizer) <= VOCABULARY_LIMIT
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(12))
    assert all(ids(tokenizer, token) == [i] for i, token in enumerate(SPECIAL_TOKENS))
    assert tokenizer.eos_token == '<|im_end|>'


def test_every_grammar_word_is_one_token(tokenizer):
    assert [word for word in grammar_words() if len(ids(tokenizer, word)) != 1] == []


def test_the_grammar_says_only_known_words():
    rng = np.random.default_rng(5)
    known = grammar_words()
    for _ in range(12):
        frame = sample_frame(rng, width=160, height=120)
        for kind in KINDS:
            for forms in ('train', 'held_out'):
                one = sample_instruction(frame, rng, kind=kind, forms=forms)
                # Absent things can carry a word that does not exist.
                if one is not None and all(phrase.objects for phrase in one.phrases):
                    assert set(words_of(one.text)) <= known, one.text


def test_a_word_is_the_same_token_anywhere(tokenizer):
    (mug,) = ids(tokenizer, 'mug')
    for text in ('the mug', "'mug'", 'MUG?', 'mug,mug', '<|object_ref_start|>mug', '(mug)',
                 '<|object_ref_end|>, <|object_ref_start|>Mug<|object_ref_end|>', '\tmug\n'):
        assert mug in ids(tokenizer, text), text


def test_answers_come_back_as_they_were(tokenizer):
    for phrases in (['red mug'], ['mug', 'object'], ['all things', 'violet cup', 'xylophone']):
        answer = answer_text(phrases)
        assert tokenizer.decode(ids(tokenizer, answer)) == answer
    # One phrase is marker, words, marker.
    assert len(ids(tokenizer, answer_text(['red mug']))) == 4
    assert tokenizer.decode(ids(tokenizer, 'red mug')) == 'red mug'


def test_chat(tokenizer):
    chat = [{'role': 'user', 'content': [{'type': 'text', 'text': 'the red mug'},
                                         {'type': 'image'}]}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == ('<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>the red mug'
                    '<|im_end|>\n<|im_start|>assistant\n')


def test_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    # Beside a checkpoint's config, which names another architecture.
    (tmp_path / 'config.json').write_text(json.dumps({'model_type': 'qwen3_vl'}))
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "Please segment 'the ünusual mug'. " + answer_text(['red mug', 'ball'])
    assert ids(again, text) == ids(tokenizer, text)
    assert again.decode(ids(again, text)) == tokenizer.decode(ids(tokenizer, text))
    assert again.chat_template == tokenizer.chat_template


def test_deterministic_in_another_process(tokenizer):
    code = ('import hashlib; from instructsam.tabletop.tokenizer import build_tokenizer; '
            'print(hashlib.sha256(build_tokenizer().backend_tokenizer.to_str().encode())'
            '.hexdigest())')
    import hashlib

    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                          env={'PYTHONPATH': ':'.join(sys.path), 'PYTHONHASHSEED': '77'})
    own = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    assert done.stdout.strip() == own


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_taken(tokenizer, text):
    found = ids(tokenizer, text)
    assert all(0 <= one < len(tokenizer) for one in found)
    assert isinstance(tokenizer.decode(found), str)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(categories=('Ll', 'Nd')), min_size=1, max_size=12),
                min_size=1, max_size=4))
def test_unknown_words_come_back(tokenizer, words):
    import unicodedata

    # What the normaliser changes is not expected back.
    text = unicodedata.normalize('NFKC', ' '.join(words)).lower()
    again = tokenizer.decode(ids(tokenizer, text))
    assert again == tokenizer.decode(ids(tokenizer, again))
    if unicodedata.normalize('NFKC', text).lower() == text and all(
            c.isalnum() or c == ' ' for c in text):
        assert again == text
