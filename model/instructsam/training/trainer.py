# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: batches in, a checkpoint out; resumable, on one device or several."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from instructsam import checkpoint
from instructsam.modeling import InstructSAM
from instructsam.tabletop.scene import CATEGORIES, COLORS
from instructsam.tabletop.tokenizer import build_tokenizer
from instructsam.training.examples import Collator, TrainingBatch
from instructsam.training.lora import add_lora, merge_lora
from instructsam.training.matching import fit_anchors
from instructsam.training.network import (
    freeze_unused,
    initialise,
    keep_queries,
    scratch_config,
)
from instructsam.training.objective import TrainingObjective
from instructsam.training.optimizer import WeightAverage, make_optimizers, rate
from instructsam.training.precision import mixed_precision
from instructsam.training.settings import TrainingSettings
from instructsam.training.sources import make_batches, tabletop_centres

STATE = 'state.pt'


class _BatchOrder(Sampler[int]):
    """Batch numbers of one process: every ``world``-th, from where training stands."""

    def __init__(self, first: int, last: int, rank: int, world: int) -> None:
        self.numbers = range(first * world + rank, last * world, world)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


class Trainer:
    """One run, described by its settings.

    Args:
        settings: see ``TrainingSettings``; ``settings.output`` receives ``state.pt`` (to resume
            from), TensorBoard logs, and at the end the checkpoint.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    def __init__(self, settings: TrainingSettings, device: str = 'auto') -> None:
        self.settings = settings
        model, self.tokenizer, self.anchors = self._start()
        self.accelerator = Accelerator(cpu=device == 'cpu' or not torch.cuda.is_available())
        self.device = self.accelerator.device
        self.world, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.output = Path(settings.output)
        self.output.mkdir(parents=True, exist_ok=True)
        self.step = 0
        self.seconds = 0.0

        dense = settings.data.source == 'tabletop'
        freeze_unused(model)
        for name, p in model.named_parameters():
            if name.startswith(settings.freeze):
                p.requires_grad_(False)
        if settings.lora.rank:
            add_lora(model, settings.lora)
        self.objective = TrainingObjective(
            model, settings.loss, settings.assignment, len(CATEGORIES), len(COLORS)
        ).to(self.device)
        self.collate = Collator(
            model.config, self.tokenizer,
            self.anchors if settings.assignment == 'anchors' else None,
            self._mask_size(model), len(CATEGORIES) if dense else None,
            settings.data.mask_share)
        self.batches = make_batches(settings.data, self.collate)
        trainable = [(n, p) for n, p in self.objective.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in trainable]
        self.optimizers = make_optimizers(trainable, settings.optimizer, rank=self.rank,
                                          world=self.world, reduce=self._sum,
                                          half=settings.precision == 'bf16')
        self.average = WeightAverage(self.parameters, settings.optimizer.ema)

    @property
    def model(self) -> InstructSAM:
        """The network being trained."""
        return self.objective.model

    def run(self, *, resume: bool = True) -> Path:
        """Train to the end and write the checkpoint; continue a stopped run if there is one."""
        state = self.output / STATE
        if resume and state.is_file():
            self._restore(state)
        loader = DataLoader(
            self.batches, batch_size=None, num_workers=self.settings.data.workers,
            sampler=_BatchOrder(self.step, self.settings.steps, self.rank, self.world),
            prefetch_factor=2 if self.settings.data.workers else None,
            persistent_workers=False, worker_init_fn=_single_thread)
        self.objective.train()
        log = _Log(self.output, self.rank, self.settings.steps)
        started, before = time.monotonic(), self.seconds
        for batch in loader:
            self._train(batch.to(self.device), log)
            self.step += 1
            self.seconds = before + time.monotonic() - started
            if self.step % self.settings.log_every == 0:
                log.show(self.step, self.seconds, self.world)
            if self.step % self.settings.save_every == 0 and self.step < self.settings.steps:
                self._save(state)
        self._save(state)
        return self.export()

    def export(self) -> Path:
        """Write the averaged weights as a checkpoint in bf16, adapters merged."""
        if self.rank == 0:
            self.average.swap()
            model = merge_lora(self.model) if self.settings.lora.rank else self.model
            model.save_pretrained(self.output, tokenizer=self.tokenizer, dtype=torch.bfloat16)
            if not self.settings.lora.rank:
                self.average.swap()
        self.accelerator.wait_for_everyone()
        return self.output

    def _train(self, batch: TrainingBatch, log: _Log) -> None:
        settings = self.settings
        factor = rate(settings.optimizer, self.step, settings.steps)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group['lr'] = group['base_lr'] * factor
        self.objective.vision_only = self.step < settings.vision_steps
        with mixed_precision(self.device, settings.precision):
            result = self.objective(batch)
        result.loss.backward()
        self._share_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, settings.optimizer.clip)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f'the gradient is not finite at step {self.step}: lower optimizer.lr, '
                'or resume from an earlier state')
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update(self.step)
        log.add(result.figures | {'gradient': norm.detach()}, result.iou, len(batch.kinds))

    def _share_gradients(self) -> None:
        """Average gradients over processes; parameters that no term reached get zeros."""
        if self.world == 1:
            return
        # while only vision trains, all processes leave out the same parameters
        shared = [p for p in self.parameters
                  if p.grad is not None or not self.objective.vision_only]
        flat = self._sum(torch.cat([
            (torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in shared]))
        flat /= self.world
        for p, gradient in zip(shared, flat.split([p.numel() for p in shared]), strict=True):
            p.grad = gradient.view_as(p)

    def _sum(self, flat: Tensor) -> Tensor:
        return self.accelerator.reduce(flat, 'sum')

    def _start(self) -> tuple[InstructSAM, PreTrainedTokenizerBase, np.ndarray | None]:
        settings = self.settings
        torch.manual_seed(settings.seed)
        if settings.start != 'scratch':
            model = InstructSAM.from_pretrained(settings.start, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(checkpoint.resolve(settings.start))
            model.config.attention = settings.attention  # type: ignore[assignment]
            if settings.queries:
                model = keep_queries(model, settings.queries)
            decoder = model.detector.detr_decoder
            anchors = decoder.reference_points.weight.detach().sigmoid()[:, :2].numpy()
            return model, tokenizer, anchors
        tokenizer = build_tokenizer()
        config = scratch_config(settings.network, tokenizer, settings.attention)
        anchors = fit_anchors(tabletop_centres(settings.data),
                              settings.network.num_queries, settings.seed)
        model = InstructSAM(config)
        initialise(model, anchors, settings.seed)
        return model, tokenizer, anchors

    @staticmethod
    def _mask_size(model: InstructSAM) -> int:
        vision = model.config.sam3.vision_config
        return int(model.config.image_size // vision.backbone_config.patch_size
                   * max(vision.scale_factors))

    def _save(self, path: Path) -> None:
        if self.rank == 0:
            partial = path.with_suffix('.partial')
            torch.save({
                'step': self.step, 'seconds': self.seconds, 'settings': self.settings.to_dict(),
                'anchors': self.anchors, 'objective': self.objective.state_dict(),
                'average': self.average.average,
                'optimizers': [o.state_dict() for o in self.optimizers]}, partial)
            os.replace(partial, path)
        self.accelerator.wait_for_everyone()

    def _restore(self, path: Path) -> None:
        state: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=False)
        self.objective.load_state_dict(state['objective'])
        for optimizer, saved in zip(self.optimizers, state['optimizers'], strict=True):
            rates = [group['base_lr'] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            # the settings, not the state, say how fast to go on
            for group, lr in zip(optimizer.param_groups, rates, strict=True):
                group['base_lr'] = lr
        for average, saved in zip(self.average.average, state['average'], strict=True):
            average.copy_(saved)
        if state['anchors'] is not None:
            self.anchors = self.collate.anchors = state['anchors']
        self.step, self.seconds = state['step'], state['seconds']


class _Log:
    """Figures of the running interval: to the terminal, and to TensorBoard."""

    def __init__(self, folder: Path, rank: int, steps: int) -> None:
        self.writer = SummaryWriter(str(folder / 'log')) if rank == 0 else None
        self.steps = steps
        self._clear()

    def _clear(self) -> None:
        self.figures: dict[str, list[Tensor]] = defaultdict(list)
        self.iou: dict[str, list[float]] = defaultdict(list)
        self.phrases = 0
        self.since = time.monotonic()

    def add(self, figures: dict[str, Tensor], iou: dict[str, list[float]], phrases: int) -> None:
        for name, value in figures.items():
            self.figures[name].append(value)
        for kind, values in iou.items():
            self.iou[kind] += values
        self.phrases += phrases

    def show(self, step: int, seconds: float, world: int) -> None:
        speed = self.phrases * world / max(1e-9, time.monotonic() - self.since)
        figures = {n: float(torch.stack(v).float().mean()) for n, v in self.figures.items()}
        figures |= {f'iou/{k}': sum(v) / len(v) for k, v in self.iou.items()}
        figures |= {'samples_per_second': speed}
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(name, value, step)
            left = (self.steps - step) * seconds / max(1, step) / 60
            kinds = ' '.join(f'{k[:4]}{k[-1]} {figures[f"iou/{k}"]:.2f}' for k in sorted(self.iou))
            print(f'step {step}/{self.steps}  {speed:.0f} samples/s  {left:.0f} min left  '
                  f'loss {figures["loss"]:.3f}  lm {figures.get("language", 0):.3f}  '
                  f'dice {figures.get("mask/dice", 0):.3f}  score {figures.get("score", 0):.3f}  '
                  f'slot {figures.get("slot/score", 0):.3f}  '
                  f'cat {figures.get("dense/sam_category", 0):.2f}/'
                  f'{figures.get("dense/vlm_category", 0):.2f}  | {kinds}', flush=True)
        self._clear()


def _single_thread(_: int) -> None:
    torch.set_num_threads(1)
