# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LoRA adapters on the language model, by peft."""

from __future__ import annotations

from peft import LoraConfig, PeftModel, get_peft_model

from instructsam.modeling import InstructSAM
from instructsam.training.settings import LoraSettings


def add_lora(model: InstructSAM, settings: LoraSettings) -> None:
    """Put adapters on the language model's projections (arXiv 2106.09685).

    The projections themselves are frozen; embeddings and norms keep their ``requires_grad``.

    Raises:
        ValueError: no layer of the language model has one of the target names.
    """
    language = model.model.language_model
    trained = {n for n, p in language.named_parameters()
               if p.requires_grad and ('embed_tokens' in n)}
    wrapped = get_peft_model(language, LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout,
        target_modules=list(settings.targets)))
    for name, p in language.named_parameters():
        if name in trained:
            p.requires_grad_(True)
    model.model.language_model = wrapped


def merge_lora(model: InstructSAM) -> InstructSAM:
    """Fold the adapters into the weights, so that the published names are back."""
    wrapped = model.model.language_model
    if isinstance(wrapped, PeftModel):
        model.model.language_model = wrapped.merge_and_unload()
    return model
