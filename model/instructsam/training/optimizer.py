# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Muon for matrices, AdamW for the rest, learning-rate schedules and weight averaging."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from instructsam.training.settings import OptimizerSettings

# Newton-Schulz costs min(n, m)² · max(n, m): larger matrices than this go to AdamW
MUON_LARGEST_SIDE = 448


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by Newton-Schulz steps (Jordan 2024), scaled to Adam's RMS.

    ``torch.optim.Muon`` always computes in bf16, which CPUs without bf16 units emulate; this
    one does so only if told to, treats equal shapes as one batch, and shares the work between
    processes.

    Args:
        params: matrices.
        lr: learning rate, on AdamW's scale (updates have RMS 0.2, arXiv 2502.16982).
        momentum: of the Nesterov average.
        weight_decay: decoupled.
        rank: of this process; each computes its share of the matrices.
        world: number of processes.
        reduce: sums a flat tensor over all processes, in place.
        half: take the Newton-Schulz steps in bf16; on CUDA they always are.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95,
        weight_decay: float = 0.0, rank: int = 0, world: int = 1,
        reduce: Callable[[Tensor], Tensor] | None = None, half: bool = False,
    ) -> None:
        super().__init__(params, {'lr': lr, 'momentum': momentum, 'weight_decay': weight_decay})
        self.rank, self.world, self.reduce, self.half = rank, world, reduce, half

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
            directions = []
            for i, p in enumerate(params):
                momentum = self.state[p].setdefault('momentum', torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group['momentum'])
                directions.append(p.grad.lerp(momentum, group['momentum']))
                shape = (min(p.shape), max(p.shape))
                by_shape[shape].append(i)
            updates = [torch.zeros_like(d) for d in directions] if self.world > 1 else directions
            # small stacks spread the work evenly over processes
            jobs = [chunk for ids in by_shape.values()
                    for chunk in (ids[k:k + 4] for k in range(0, len(ids), 4))]
            for job, ids in enumerate(jobs):
                if job % self.world != self.rank:
                    continue
                stack = torch.stack([d if d.shape[0] <= d.shape[1] else d.T
                                     for d in (directions[i] for i in ids)])
                for i, update in zip(ids, orthogonalise(stack, half=self.half), strict=True):
                    wide = params[i].shape[0] <= params[i].shape[1]
                    updates[i] = update if wide else update.T
            if self.world > 1 and self.reduce is not None:
                flat = self.reduce(torch.cat([u.reshape(-1) for u in updates]))
                updates = [f.view_as(u) for f, u in zip(
                    flat.split([u.numel() for u in updates]), updates, strict=True)]
            for p, update in zip(params, updates, strict=True):
                p.mul_(1 - group['lr'] * group['weight_decay'])
                p.add_(update, alpha=-group['lr'] * 0.2 * math.sqrt(max(p.shape)))


def orthogonalise(stack: Tensor, steps: int = 5, *, half: bool = False) -> Tensor:
    """Push the singular values of wide matrices [B, n, m] towards 1 (quintic Newton-Schulz)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = stack.bfloat16() if half or stack.is_cuda else stack.float()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.to(stack.dtype)


def make_optimizers(
    named: Sequence[tuple[str, nn.Parameter]], settings: OptimizerSettings, *,
    rank: int = 0, world: int = 1, reduce: Callable[[Tensor], Tensor] | None = None,
    half: bool = False,
) -> list[torch.optim.Optimizer]:
    """Split trainable parameters over optimizers; each group remembers its ``base_lr``."""
    matrices, sam, rest = [], [], []
    for name, p in named:
        if not p.requires_grad:
            continue
        if settings.kind == 'muon' and _is_hidden_matrix(name, p):
            matrices.append(p)
        elif settings.lr_sam is not None and 'grounding_model' in name:
            sam.append(p)
        else:
            rest.append(p)
    groups = [{'params': rest, 'lr': settings.lr}]
    if sam and settings.lr_sam is not None:
        groups.append({'params': sam, 'lr': settings.lr_sam})
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(
        groups, lr=settings.lr, betas=(0.9, 0.98 if settings.kind == 'muon' else 0.999),
        weight_decay=settings.weight_decay)]
    if matrices:
        optimizers.append(Muon(
            matrices, settings.lr_muon or settings.lr, weight_decay=settings.weight_decay,
            rank=rank, world=world, reduce=reduce, half=half))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['base_lr'] = group['lr']
    return optimizers


def _is_hidden_matrix(name: str, p: nn.Parameter) -> bool:
    table = any(part in name for part in (
        'embed_tokens', 'pos_embed', 'position_embed', 'reference_points', 'mask_queries', 'rpb'))
    return p.ndim == 2 and not table and 16 <= min(p.shape) <= MUON_LARGEST_SIDE


def rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """Return the factor on every base learning rate at ``step`` of ``steps``."""
    warmup = max(1, round(settings.warmup * steps))
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == 'cosine':
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    cooling = max(1, round(settings.decay * steps))
    return min(1.0, max(0.01, (steps - step) / cooling))


class WeightAverage:
    """Exponential average of the trainable weights, kept on their device."""

    def __init__(self, params: Sequence[nn.Parameter], decay: float) -> None:
        self.params, self.decay = list(params), decay
        self.average = [p.detach().clone() for p in self.params]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step; early steps are forgotten sooner."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.params], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the live weights and the average (call again to undo)."""
        for average, p in zip(self.average, self.params, strict=True):
            kept = p.detach().clone()
            p.copy_(average)
            average.copy_(kept)
