# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several tests share: shared test data, a tiny network, a tiny tokenizer."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# The special tokens of a Qwen3-VL vocabulary with InstructSAM's additions.
SPECIAL_TOKENS = (
    '<|endoftext|>', '<|im_start|>', '<|im_end|>', '<|object_ref_start|>', '<|object_ref_end|>',
    '<|vision_start|>', '<|vision_end|>', '<|image_pad|>', '<|video_pad|>', '[SEG]',
    '<|mask_start|>', '<|mask_end|>')

CHAT_TEMPLATE = (
    '{% for message in messages %}<|im_start|>{{ message.role }}\n'
    '{% for part in message.content %}{% if part.type == "image" %}'
    '<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}'
    '<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}')

# How long an example takes says how busy the machine is. CI repeats the same examples, so that a
# red run is a changed program; elsewhere they vary.
hypothesis.settings.register_profile('here', deadline=None)
hypothesis.settings.register_profile('ci', deadline=None, derandomize=True)
hypothesis.settings.load_profile('ci' if os.environ.get('CI') else 'here')


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Test data that lies beside the repository, not in it."""
    path = REPOSITORY.parent / 'shared'
    if not (path / 'parity' / 'golden.safetensors').is_file():
        pytest.skip(f'no shared test data in {path}')
    return path


# Only this machine: discovery by multicast over the loopback interface, for many processes.
LOOPBACK_ONLY = (
    '<CycloneDDS><Domain><General><Interfaces><NetworkInterface name="lo" multicast="true"/>'
    '</Interfaces><MaxMessageSize>65500B</MaxMessageSize></General>'
    '<Discovery><MaxAutoParticipantIndex>200</MaxAutoParticipantIndex></Discovery>'
    '</Domain></CycloneDDS>')
# Domains up to 101 keep their ports clear of Linux's ephemeral ones. The odd ones: a test may take
# the next one too.
_DOMAINS = range(1, 101, 2)
_used_domains: set[int] = set()


def _own_domains() -> Iterator[int]:
    """The domains of this process, over and over: other workers of pytest-xdist have others."""
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
    workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
    # runs beside this one mostly begin elsewhere
    run = os.getppid() if workers > 1 else os.getpid()
    turned = [_DOMAINS[(place + run) % len(_DOMAINS)] for place in range(len(_DOMAINS))]
    return itertools.cycle(turned[worker % len(_DOMAINS)::workers] or turned)


_domains = _own_domains()


@contextlib.contextmanager
def own_domain(patch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain that nobody else here uses, on this machine only; child processes inherit it."""
    domain = next(one for one in _domains if one not in _used_domains)
    _used_domains.add(domain)
    patch.setenv('ROS_DOMAIN_ID', str(domain))
    patch.setenv('CYCLONEDDS_URI', LOOPBACK_ONLY)
    patch.delenv('ROS_LOCALHOST_ONLY', raising=False)
    try:
        yield domain
    finally:
        _used_domains.remove(domain)


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain of this test's own."""
    with own_domain(monkeypatch) as domain:
        yield domain


@pytest.fixture
def partner(ros_domain: int) -> Iterator[Any]:
    """Starts other processes on the embedded DDS layer: see ``dds_partner.Partner``."""
    from dds_partner import partners

    yield from partners()


@pytest.fixture
def participant(ros_domain: int) -> Iterator[Any]:
    """A participant of the embedded DDS layer in this process."""
    from dds_partner import participants

    yield from participants()


@dataclass(frozen=True)
class Parity:
    """A run of the released inference on a tiny network: its config, weights and every stage."""

    config: Any
    weights: dict[str, Any]
    golden: dict[str, Any]
    meta: dict[str, Any]


@pytest.fixture(scope='session')
def parity(shared_dir: Path) -> Parity:
    """The parity vectors."""
    from safetensors.torch import load_file

    from instructsam.configuration import InstructSAMConfig

    root = shared_dir / 'parity'
    published = json.loads((root / 'instructsam_tiny_config' / 'config.json').read_text())
    sam3 = json.loads((root / 'sam3_tiny' / 'config.json').read_text())['detector_config']
    meta = json.loads((root / 'meta.json').read_text())
    ids = meta['ids']
    config = InstructSAMConfig.from_dict({
        **published, 'sam3_config': sam3, 'im_start_token_id': ids['im_start'],
        'im_end_token_id': ids['im_end'], 'endoftext_token_id': ids['endoftext']})
    return Parity(config, load_file(root / 'weights.safetensors'),
                  load_file(root / 'golden.safetensors'), meta)


@pytest.fixture(scope='session')
def tiny_tokenizer() -> Any:
    """A byte-level tokenizer (256 bytes, then the special tokens) with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={byte: i for i, byte in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token='<|im_end|>', pad_token='<|endoftext|>',
        additional_special_tokens=list(SPECIAL_TOKENS[3:]))
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


@pytest.fixture(scope='session')
def make_tiny_config() -> Callable[..., Any]:
    """Return a maker of configs of a network with some 100 k weights; keywords override fields."""
    from instructsam.configuration import InstructSAMConfig

    first = 256  # after the bytes of the tiny tokenizer
    ids = {token: first + i for i, token in enumerate(SPECIAL_TOKENS)}
    values: dict[str, Any] = {
        'text_config': {
            'vocab_size': first + len(SPECIAL_TOKENS), 'hidden_size': 32, 'intermediate_size': 48,
            'num_hidden_layers': 2, 'num_attention_heads': 2, 'num_key_value_heads': 1,
            'head_dim': 16, 'max_position_embeddings': 4096,
            'rope_parameters': {'rope_type': 'default', 'rope_theta': 5e6,
                                'mrope_section': [4, 2, 2], 'mrope_interleaved': True}},
        'vision_config': {
            'depth': 2, 'hidden_size': 32, 'intermediate_size': 48, 'num_heads': 2,
            'patch_size': 16, 'out_hidden_size': 32, 'num_position_embeddings': 16,
            'deepstack_visual_indexes': [0]},
        'sam3_config': {
            'vision_config': {
                'backbone_config': {
                    'model_type': 'sam3_vit_model', 'hidden_size': 32, 'intermediate_size': 48,
                    'num_hidden_layers': 2, 'num_attention_heads': 2, 'image_size': 64,
                    'patch_size': 16, 'window_size': 2, 'global_attn_indexes': [1],
                    'pretrain_image_size': 64},
                'fpn_hidden_size': 16,
                'backbone_feature_sizes': [[16, 16], [8, 8], [4, 4]]},
            'detr_encoder_config': {'hidden_size': 16, 'intermediate_size': 32, 'num_layers': 1,
                                    'num_attention_heads': 2},
            'detr_decoder_config': {'hidden_size': 16, 'intermediate_size': 32, 'num_layers': 2,
                                    'num_attention_heads': 2, 'num_queries': 10},
            'mask_decoder_config': {'hidden_size': 16, 'num_attention_heads': 2}},
        'image_token_id': ids['<|image_pad|>'], 'video_token_id': ids['<|video_pad|>'],
        'vision_start_token_id': ids['<|vision_start|>'],
        'vision_end_token_id': ids['<|vision_end|>'], 'seg_token_index': ids['[SEG]'],
        'ref_start_token_index': ids['<|object_ref_start|>'],
        'ref_end_token_index': ids['<|object_ref_end|>'],
        'seg_start_token_index': ids['<|mask_start|>'],
        'seg_end_token_index': ids['<|mask_end|>'], 'im_start_token_id': ids['<|im_start|>'],
        'im_end_token_id': ids['<|im_end|>'], 'endoftext_token_id': ids['<|endoftext|>'],
        'layout': 'training', 'unused_sam3_parts': False,
        # The smallest image: 64 x 64 pixels, 4 tokens.
        'min_pixels': 4096, 'max_pixels': 16384}

    def make(**overrides: Any) -> Any:
        return InstructSAMConfig.from_dict({**values, **overrides})

    return make


@pytest.fixture
def tiny_config(make_tiny_config: Callable[..., Any]) -> Any:
    """A fresh config of the tiny network."""
    return make_tiny_config()


@pytest.fixture(scope='module')
def pair() -> Iterator[Any]:
    """One node process and one robot for the whole module."""
    from live import live_pair

    with live_pair() as both:
        yield both


@pytest.fixture
def live(pair: Any) -> Iterator[Any]:
    """The same, without an instruction and without a camera, nothing received yet."""
    process, robot = pair
    robot.begin_again()
    yield process, robot
    robot.stop_camera()
