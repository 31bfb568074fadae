# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The small vocabulary of the tabletop checkpoint.

A lower-casing byte-pair tokenizer in which a word is the same token wherever it stands ("mug" after
a space, a quote or a marker), every word of the grammar is one token, and bytes catch everything
else.  Special tokens carry Qwen's names; the chat template is Qwen's with the image first and no
system message.
"""
from __future__ import annotations

import json
from functools import lru_cache

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from . import everyday
from .grammar import REF_END, REF_START
from .vocabulary import grammar_words

VOCABULARY_LIMIT = 2048

SPECIAL_TOKENS = ('<|endoftext|>', '<|im_start|>', '<|im_end|>', REF_START, REF_END,
                  '<|vision_start|>', '<|vision_end|>', '<|image_pad|>', '<|video_pad|>', '[SEG]',
                  '<|mask_start|>', '<|mask_end|>')
"""In the order of their ids, from 0."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] if part['type'] == 'image' %}"
    '<|vision_start|><|image_pad|><|vision_end|>{% endfor %}'
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}"
    '{% endfor %}{% endif %}<|im_end|>\n{% endfor %}'
    '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}')

_SPACE = '\u2581'


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, the same on every machine: its training text is fixed."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained()), eos_token='<|im_end|>',
        pad_token='<|endoftext|>', chat_template=CHAT_TEMPLATE, clean_up_tokenization_spaces=False,
        model_max_length=4096)


@lru_cache(maxsize=1)
def _trained() -> str:
    words = sorted(grammar_words())
    letters = sorted({*''.join(words), *'abcdefghijklmnopqrstuvwxyz0123456789', _SPACE})
    marks = list('.,?!\'"-:;()/&%+')
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_LIMIT - 256, special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted({*letters, *marks}), limit_alphabet=len({*letters, *marks}),
        show_progress=False, min_frequency=1)
    draft = _assemble(models.BPE())
    common = [word for word in dict.fromkeys((*everyday.NOUNS, *everyday.COMMON))
              if word not in set(words)]
    # Weights put the grammar's merges first, so that no later merge can split one of its words.
    text = [word for word in (*marks, *words) for _ in range(1000)] + common
    draft.train_from_iterator(text, trainer)
    return _with_bytes(draft).to_str()


def _with_bytes(draft: Tokenizer) -> Tokenizer:
    """The trained tokenizer with one token for each byte, for what its letters cannot spell."""
    model = json.loads(draft.to_str())['model']
    vocabulary: dict[str, int] = dict(model['vocab'])
    for byte in range(256):
        vocabulary[f'<0x{byte:02X}>'] = len(vocabulary)
    merges = [tuple(merge) for merge in model['merges']]
    final = _assemble(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True))
    final.add_special_tokens([AddedToken(token, special=True, normalized=False)
                              for token in SPECIAL_TOKENS])
    return final


def _assemble(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation('isolated'),
        pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme='always', split=False)])
    # Every piece carries a leading space: after joining, take back those that nobody types.
    tokenizer.decoder = decoders.Sequence([
        decoders.ByteFallback(), decoders.Replace(_SPACE, ' '), decoders.Fuse(),
        decoders.Replace(Regex(r' (?=[.,?!:;)])'), ''),
        decoders.Replace(Regex(r'(?<=\|>) '), ''),
        decoders.Replace(Regex(r',(?=<\|object_ref_start)'), ', '),
        decoders.Strip(' ', 1, 0)])
    return tokenizer
