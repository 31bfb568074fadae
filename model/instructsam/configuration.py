# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of a checkpoint: Qwen3-VL, SAM3's detector, and what joins them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from transformers import PreTrainedConfig, Qwen3VLConfig, Sam3Config

Layout = Literal['released', 'training']
Attention = Literal['hybrid', 'causal']

CONFIG_NAME = 'config.json'
# SAM3's own text encoder is never built; its width only shapes the unused text projection.
_SAM3_TEXT, _SAM3_TEXT_WIDTH = 'text_config', 'hidden_size'


def _default_qwen() -> Qwen3VLConfig:
    return Qwen3VLConfig(
        text_config={
            'vocab_size': 151936, 'hidden_size': 2048, 'intermediate_size': 6144,
            'num_hidden_layers': 28, 'num_attention_heads': 16, 'num_key_value_heads': 8,
            'head_dim': 128, 'max_position_embeddings': 262144,
            'rope_parameters': {
                'rope_type': 'default', 'rope_theta': 5_000_000.0,
                'mrope_section': [24, 20, 20], 'mrope_interleaved': True,
            },
        },
        vision_config={
            'depth': 24, 'hidden_size': 1024, 'intermediate_size': 4096, 'num_heads': 16,
            'patch_size': 16, 'out_hidden_size': 2048, 'num_position_embeddings': 2304,
            'deepstack_visual_indexes': [5, 11, 17],
        },
        tie_word_embeddings=True,
    )


@dataclass(eq=False)
class InstructSAMConfig:
    """Everything that defines a network and how it is to be driven.

    The defaults are those of the published 2B checkpoint. On disk the fields of Qwen3-VL stand
    at the top level of `config.json`, as in the published file, with ours beside them and the
    detector's under `sam3_config`.

    Attributes:
        qwen: the vision-language model.
        sam3: the detector; its `text_config` is never used.
        max_seg_nums: instance queries per phrase.
        out_dim: width of the detector that slots and phrases are projected to.
        layout: how query blocks stand in the sequence (see `instructsam.sequence`);
            a file without the field is a published checkpoint, hence 'released'.
        attention: 'hybrid' lets the queries see each other; 'causal' is the ablation.
        score_threshold: instances with a score above it are kept, 0..1.
        phrase_max_tokens: a phrase's tokens beyond this are cut.
        max_phrases: decoding ends after so many phrases.
        max_new_tokens: decoding ends after so many answer tokens.
        min_pixels, max_pixels: bounds on the area of the image that the language model sees.
        unused_sam3_parts: whether the checkpoint carries `geometry_encoder` and
            `text_projection`, which inference never uses (the published one does).

    Raises:
        ValueError: a field is out of range or two parts do not fit together.
    """

    qwen: Qwen3VLConfig = field(default_factory=_default_qwen)
    sam3: Sam3Config = field(default_factory=Sam3Config)
    max_seg_nums: int = 10
    out_dim: int = 256
    seg_token_index: int = 151670
    ref_start_token_index: int = 151646
    ref_end_token_index: int = 151647
    seg_start_token_index: int = 151671
    seg_end_token_index: int = 151672
    im_start_token_id: int = 151644
    im_end_token_id: int = 151645
    endoftext_token_id: int = 151643
    layout: Layout = 'released'
    attention: Attention = 'hybrid'
    score_threshold: float = 0.3
    phrase_max_tokens: int = 32
    max_phrases: int = 10
    max_new_tokens: int = 1024
    min_pixels: int = 65536
    max_pixels: int = 16777216
    unused_sam3_parts: bool = True

    def __post_init__(self) -> None:
        _use_sdpa(self.qwen)
        _use_sdpa(self.sam3)
        self._validate()

    @property
    def image_size(self) -> int:
        """Side of the square image that SAM3's encoder takes, pixels."""
        size = self.sam3.vision_config.backbone_config.image_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def hidden_size(self) -> int:
        """Width of the language model."""
        return int(self.qwen.text_config.hidden_size)

    @property
    def vocab_size(self) -> int:
        """Number of token embeddings."""
        return int(self.qwen.text_config.vocab_size)

    @property
    def image_token_id(self) -> int:
        """The token that stands for one merged image patch."""
        return int(self.qwen.image_token_id)

    @property
    def vision_start_token_id(self) -> int:
        """The token before an image."""
        return int(self.qwen.vision_start_token_id)

    @property
    def vision_end_token_id(self) -> int:
        """The token after an image."""
        return int(self.qwen.vision_end_token_id)

    @property
    def patch_size(self) -> int:
        """Side of a patch of the language model's image, pixels."""
        return int(self.qwen.vision_config.patch_size)

    @property
    def merge_size(self) -> int:
        """Patches per side that become one token."""
        return int(self.qwen.vision_config.spatial_merge_size)

    @property
    def temporal_patch_size(self) -> int:
        """How often a still image is repeated in time to make a patch."""
        return int(self.qwen.vision_config.temporal_patch_size)

    @property
    def block_size(self) -> int:
        """Rows that a phrase's end takes: ref_end, mask_start, the queries, mask_end."""
        return self.max_seg_nums + 3

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InstructSAMConfig:
        """Build from the contents of a `config.json`; fields that are not ours are ignored."""
        values = dict(values)
        sam3_values = values.pop('sam3_config', None)
        own = {name: values.pop(name) for name in cls._own_fields()
               if values.get(name) is not None}
        for part in ('text_config', 'vision_config'):
            if not isinstance(values.get(part), Mapping):
                raise ValueError(f'config has no {part}: it is not an InstructSAM checkpoint')
        qwen_names = ('image_token_id', 'video_token_id', 'vision_start_token_id',
                      'vision_end_token_id', 'tie_word_embeddings')
        qwen = Qwen3VLConfig(
            text_config=dict(values['text_config']), vision_config=dict(values['vision_config']),
            **{name: values[name] for name in qwen_names if values.get(name) is not None})
        sam3 = Sam3Config(**_with_text_width_only(sam3_values or {}))
        if 'out_dim' not in own:
            own['out_dim'] = sam3.detr_decoder_config.hidden_size
        return cls(qwen=qwen, sam3=sam3, **own)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> InstructSAMConfig:
        """Read `config.json`, or the one in a checkpoint directory.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is not JSON, or not a configuration of this network.
        """
        file = Path(path)
        if file.is_dir():
            file = file / CONFIG_NAME
        if not file.is_file():
            raise FileNotFoundError(f'no {CONFIG_NAME} in {Path(path)}: not a checkpoint directory')
        try:
            values = json.loads(file.read_text(encoding='utf-8'))
        except ValueError as error:
            raise ValueError(f'{file} is not valid JSON ({error}): download it again') from error
        if not isinstance(values, dict):
            raise ValueError(f'{file} does not hold a JSON object: download it again')
        try:
            return cls.from_dict(values)
        except (TypeError, ValueError) as error:
            raise ValueError(f'{file}: {_one_line(error)}') from error

    def to_dict(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        sam3 = _with_text_width_only(_without_boilerplate(self.sam3.to_dict()))
        own = {name: getattr(self, name) for name in self._own_fields()}
        return {**_without_boilerplate(self.qwen.to_dict()), **own, 'sam3_config': sam3}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InstructSAMConfig):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # mutable, and equal by value

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write `config.json` into a directory and return its path."""
        file = Path(directory) / CONFIG_NAME
        text = json.dumps(self.to_dict(), indent=2, sort_keys=True, default=list)
        file.write_text(text + '\n', encoding='utf-8')
        return file

    @classmethod
    def _own_fields(cls) -> list[str]:
        return [f.name for f in fields(cls) if f.name not in ('qwen', 'sam3')]

    def _validate(self) -> None:
        for name, options in (('layout', get_args(Layout)), ('attention', get_args(Attention))):
            if getattr(self, name) not in options:
                raise ValueError(f'{name} is {getattr(self, name)!r}: use one of {options}')
        for name in ('max_seg_nums', 'phrase_max_tokens', 'max_phrases', 'max_new_tokens'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)}: it must be at least 1')
        if not 0.0 <= self.score_threshold <= 1.0:
            raise ValueError(f'score_threshold is {self.score_threshold}: it must lie in 0..1')
        if not 0 < self.min_pixels <= self.max_pixels:
            raise ValueError(f'min_pixels {self.min_pixels} and max_pixels {self.max_pixels}: '
                             'use 0 < min_pixels <= max_pixels')
        width = self.sam3.detr_decoder_config.hidden_size
        if self.out_dim != width:
            raise ValueError(f'out_dim is {self.out_dim} but the detector is {width} wide: '
                             'make them equal')
        vision_out = self.qwen.vision_config.out_hidden_size
        if vision_out != self.hidden_size:
            raise ValueError(f'vision out_hidden_size is {vision_out} but the language model is '
                             f'{self.hidden_size} wide: make them equal')
        text = self.qwen.text_config
        rope = text.rope_parameters or {}
        if rope.get('rope_type', 'default') != 'default':
            raise ValueError(f'rope_type {rope["rope_type"]!r} is not supported: Qwen3-VL uses '
                             "'default'")
        section = rope.get('mrope_section', [24, 20, 20])
        if 2 * sum(section) != text.head_dim:
            raise ValueError(f'mrope_section {list(section)} sums to {sum(section)}: it must be '
                             f'half of head_dim {text.head_dim}')
        self._validate_token_ids()

    def _validate_token_ids(self) -> None:
        names = ('seg_token_index', 'ref_start_token_index', 'ref_end_token_index',
                 'seg_start_token_index', 'seg_end_token_index', 'im_end_token_id',
                 'image_token_id')
        seen: dict[int, str] = {}
        for name in names:
            value = getattr(self, name)
            if not 0 <= value < self.vocab_size:
                raise ValueError(f'{name} is {value} but the vocabulary has {self.vocab_size} '
                                 'entries: set it in config.json')
            if value in seen:
                raise ValueError(f'{name} and {seen[value]} are both {value}: they must differ')
            seen[value] = name


def _use_sdpa(config: PreTrainedConfig) -> None:
    """Choose sdpa for a config and every config inside it; stock parts read it there."""
    config._attn_implementation = 'sdpa'
    for value in vars(config).values():
        if isinstance(value, PreTrainedConfig):
            _use_sdpa(value)


def _without_boilerplate(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what every transformers config carries and nothing here reads."""
    generic = PreTrainedConfig().to_dict()
    return {
        key: _without_boilerplate(value) if key.endswith('_config') else value
        for key, value in values.items()
        if value is not None and not (key in generic and value == generic[key])
    }


def _with_text_width_only(sam3: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of SAM3's text encoder nothing but its width."""
    kept = dict(sam3)
    text = kept.pop(_SAM3_TEXT, None)
    if isinstance(text, Mapping) and _SAM3_TEXT_WIDTH in text:
        kept[_SAM3_TEXT] = {_SAM3_TEXT_WIDTH: text[_SAM3_TEXT_WIDTH]}
    return kept


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())
