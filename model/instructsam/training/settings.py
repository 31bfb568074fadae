# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training run is made of, read from one YAML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

RECIPES = Path(__file__).parent / 'configs'


@dataclass
class NetworkSize:
    """Dimensions of a network that is trained from scratch.

    Pixels for image sizes, channels for widths; ``vlm_*_pixels`` bound the area of the image
    that the language model's vision tower sees (Qwen's ``smart_resize``).
    """

    sam_image: int = 224
    sam_patch: int = 16
    sam_hidden: int = 160
    sam_layers: int = 5
    sam_heads: int = 5
    sam_mlp: int = 640
    sam_window: int = 7
    sam_global_layers: tuple[int, ...] = (2, 4)
    detr_hidden: int = 64
    detr_heads: int = 4
    detr_mlp: int = 256
    detr_encoder_layers: int = 2
    detr_decoder_layers: int = 4
    lm_hidden: int = 192
    lm_layers: int = 4
    lm_heads: int = 6
    lm_kv_heads: int = 3
    lm_mlp: int = 448
    vlm_hidden: int = 128
    vlm_layers: int = 4
    vlm_heads: int = 4
    vlm_mlp: int = 384
    vlm_patch: int = 12
    vlm_deepstack: tuple[int, ...] = (1, 2)
    vlm_min_pixels: int = 30000
    vlm_max_pixels: int = 43200
    num_queries: int = 10


@dataclass
class DataSettings:
    """Where samples come from and how many make a batch.

    ``source`` is ``tabletop`` or the path of a JSON-lines file (see ``training/sources.py``).
    ``mask_share`` of the phrases with objects have their masks predicted (the costly part);
    ``sizes`` are the (width, height) in pixels of rendered frames, batches take them in turn;
    ``anchor_frames`` are looked at to place the slots.
    """

    source: str = 'tabletop'
    images_per_batch: int = 4
    instructions_per_image: int = 8
    mask_share: float = 1.0
    workers: int = 1
    sizes: tuple[tuple[int, int], ...] = ((320, 240), (320, 240), (320, 240), (384, 216))
    seed: int = 0
    anchor_frames: int = 120


@dataclass
class LossWeights:
    """Weights of the loss terms; a term with weight 0 is not computed."""

    language: float = 1.0
    mask_bce: float = 5.0
    mask_dice: float = 2.0
    score: float = 2.0
    box_l1: float = 3.0
    box_giou: float = 1.0
    deep_supervision: float = 0.5
    slot_supervision: float = 0.5
    dense_sam: float = 1.0
    dense_vlm: float = 1.0
    soft_score_target: bool = False
    mask_points: int = 0


@dataclass
class OptimizerSettings:
    """Learning rates and their schedule (warm-up, constant, decay; or cosine).

    ``lr_sam`` and ``lr_muon`` stand in for ``lr`` on SAM3's parts and on Muon's matrices.
    """

    kind: str = 'muon'
    lr: float = 2e-3
    lr_sam: float | None = None
    lr_muon: float | None = None
    weight_decay: float = 0.01
    clip: float = 10.0
    schedule: str = 'stable-decay'
    warmup: float = 0.03
    decay: float = 0.35
    ema: float = 0.998


@dataclass
class LoraSettings:
    """LoRA adapters on the language model's attention (rank 0: none)."""

    rank: int = 0
    alpha: int = 16
    dropout: float = 0.05
    targets: tuple[str, ...] = ('q_proj', 'k_proj', 'v_proj', 'o_proj')


@dataclass
class TrainingSettings:
    """One run of ``python -m instructsam.train``.

    During the first ``vision_steps`` only the two vision towers train, on the dense labels:
    before they see objects, phrases have nothing to point at. ``attention`` and ``queries`` (0:
    all of the checkpoint's) are there for ablations.
    """

    output: str = 'runs/tabletop'
    start: str = 'scratch'
    steps: int = 4000
    vision_steps: int = 0
    seed: int = 0
    precision: str = 'fp32'
    assignment: str = 'anchors'
    attention: str = 'hybrid'
    queries: int = 0
    freeze: tuple[str, ...] = ()
    save_every: int = 250
    log_every: int = 50
    network: NetworkSize = field(default_factory=NetworkSize)
    data: DataSettings = field(default_factory=DataSettings)
    loss: LossWeights = field(default_factory=LossWeights)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that ``from_dict`` and YAML take back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingSettings:
        """Build settings from nested plain data.

        Raises:
            ValueError: a key is unknown, or a value is of the wrong kind.
        """
        settings = _build(cls, values, '')
        choices = {
            'assignment': ('anchors', 'hungarian'),
            'attention': ('hybrid', 'causal'),
            'precision': ('fp32', 'bf16'),
        }
        for key, allowed in choices.items():
            if getattr(settings, key) not in allowed:
                raise ValueError(f"'{key}' is one of {', '.join(allowed)}, "
                                 f"not '{getattr(settings, key)}'")
        return settings

    @classmethod
    def load(cls, recipe: str, overrides: list[str] | None = None) -> TrainingSettings:
        """Read a recipe by name (``tabletop-cpu``) or path, then apply ``key.sub=value`` texts.

        Raises:
            FileNotFoundError: neither a shipped recipe nor a file has that name.
            ValueError: the YAML or an override does not fit.
        """
        path = Path(recipe)
        if not path.is_file():
            path = RECIPES / f'{recipe}.yaml'
        if not path.is_file():
            shipped = ', '.join(sorted(p.stem for p in RECIPES.glob('*.yaml')))
            raise FileNotFoundError(f"no recipe '{recipe}': give a YAML file or one of {shipped}")
        values = yaml.safe_load(path.read_text()) or {}
        for override in overrides or []:
            key, separator, text = override.partition('=')
            if not separator:
                raise ValueError(f"'--set {override}': write it as key=value")
            *parents, leaf = key.split('.')
            place = values
            for parent in parents:
                place = place.setdefault(parent, {})
            place[leaf] = yaml.safe_load(text)
        return cls.from_dict(values)


def _build(cls: type, values: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown setting '{where}{unknown[0]}'; known here: "
                         + ', '.join(sorted(known)))
    result = {}
    for name, value in values.items():
        hint = hints[name]
        if is_dataclass(hint):
            if not isinstance(value, dict):
                raise ValueError(f"'{where}{name}' holds settings of its own, not '{value}'")
            result[name] = _build(hint, value, f'{where}{name}.')  # type: ignore[arg-type]
        elif isinstance(value, list | tuple):
            result[name] = tuple(
                tuple(v) if isinstance(v, list) else v for v in value)
        elif hint is float or hint == (float | None):
            result[name] = None if value is None else _number(value, where + name)
        else:
            if not isinstance(value, hint):
                raise ValueError(f"'{where}{name}' must be {hint.__name__}, not '{value}'")
            result[name] = value
    return cls(**result)


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"'{where}' must be a number, not '{value}'") from None
