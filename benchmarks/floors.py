# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The least time that each stage of a picture can take on this machine.

    python benchmarks/floors.py [--device cpu] [--dtype float32] [--threads 1]

prints the ceilings: how fast this machine multiplies matrices and copies memory. The floor of a
stage is the longer of its operations over the first and of its bytes (weights read once, input
and output once) over the second; nothing that runs one operator after the other comes close to it
where operators are small.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from instructsam.decoding import DecodingSession
from instructsam.segmenter import InstructSAMSegmenter

# many: on a busy machine few of them run undisturbed
_REPEATS = 25


@dataclass(frozen=True)
class Ceilings:
    """What a machine can do.

    Attributes:
        flops: operations per second in a product of large matrices.
        bytes: per second, read and written together, in a copy of a large tensor.
    """

    flops: float
    bytes: float


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Measure a device; the best of many repeats."""
    side, words = (8192, 2**29) if device.type == 'cuda' else (1024, 2**24)
    left = torch.randn(side, side, device=device).to(dtype)
    right = torch.randn(side, side, device=device).to(dtype)
    source = torch.zeros(words, dtype=torch.bfloat16, device=device)
    target = torch.empty_like(source)
    with torch.inference_mode():
        product = _best(lambda: left @ right, device)
        copy = _best(lambda: target.copy_(source), device)
    return Ceilings(flops=2 * side**3 / product, bytes=4 * words / copy)


def _best(work: Callable[[], object], device: torch.device) -> float:
    # one thread's own time, which other processes hardly disturb
    alone = device.type == 'cpu' and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    work()
    best = float('inf')
    for _ in range(_REPEATS):
        _synchronise(device)
        begin = clock()
        work()
        _synchronise(device)
        best = min(best, clock() - begin)
    return best


def _synchronise(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


@torch.inference_mode()
def floors(segmenter: InstructSAMSegmenter, image: np.ndarray,
           prompt: Callable[[Any], Any], ceilings: Ceilings,
           threshold: float) -> dict[str, dict[str, float]]:
    """Count the stages of a picture whose draft is right.

    Args:
        segmenter: whose network to count.
        image: uint8 RGB [H, W, 3].
        prompt: from a grid, the prompt laid out with the draft.
        ceilings: of the machine.
        threshold: least score; where no graphs are recorded, phrases below it need no masks.

    Returns:
        Of each stage `gflop`, `megabytes` and `floor`, the latter in seconds.
    """
    model = segmenter.model
    detector = model.detector
    square, patches, grid = segmenter._preprocess(torch.from_numpy(image))
    drafted = prompt(tuple(grid.tolist()[0]))

    vlm, see = _counted(lambda: model.encode_vlm_image(patches, grid))
    session, read = _counted(lambda: DecodingSession(model, drafted, vlm))
    features, encode = _counted(lambda: detector.encode_image(square))
    for token in drafted.draft:
        session.feed(token)
    answer = session.finish('stop')
    rows = torch.zeros(len(answer.slots), dtype=torch.long, device=model.device)
    grounding, find = _counted(lambda: model.ground(
        features.select(rows), answer.slots, answer.phrase_ids, answer.phrase_mask,
        threshold=None if segmenter.static else threshold))

    levels = _bytes(features.image_levels)
    tokens = _bytes([*vlm.tokens, *(one for level in vlm.deepstack for one in level)])
    heads = [part for name, part in detector.named_children() if name in (
        'detr_encoder', 'detr_decoder', 'mask_decoder', 'dot_product_scoring')]
    moved = {
        'sam_encode': _weights([detector.vision_encoder]) + _bytes([square]) + levels,
        'vlm_encode': _weights([model.visual]) + _bytes([patches]) + tokens,
        # the table of embeddings is read as a whole too: it is the output head
        'prefill': (_weights([model.language_model]) + tokens
                    + len(drafted) * _bytes([answer.slots[:1, :1]])),
        'detect': (_weights(heads) + levels + _bytes([grounding.mask_logits])),
    }
    counted = {'sam_encode': encode, 'vlm_encode': see, 'prefill': read, 'detect': find}
    return {stage: {'gflop': counted[stage] / 1e9, 'megabytes': moved[stage] / 1e6,
                    'floor': max(counted[stage] / ceilings.flops, moved[stage] / ceilings.bytes)}
            for stage in counted}


def _counted(work: Callable[[], Any]) -> tuple[Any, int]:
    """Run work and return its result and its operations."""
    counter = FlopCounterMode(display=False, custom_mapping={
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops})
    with counter:
        result = work()
    return result, counter.get_total_flops()


def _attention_flops(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...],
                     *_: Any, **__: Any) -> int:
    batch, heads, rows, width = query
    return 2 * batch * heads * rows * key[2] * (width + value[3])


def _weights(parts: Iterable[nn.Module]) -> int:
    return _bytes(one for part in parts for one in part.parameters())


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)


def main() -> None:
    """Print the ceilings."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--dtype', default='float32', choices=('float32', 'bfloat16'))
    parser.add_argument('--threads', type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = measure_ceilings(torch.device(options.device), getattr(torch, options.dtype))
    print(f'{found.flops / 1e9:,.0f} GFLOP/s, {found.bytes / 1e9:,.1f} GB/s')


if __name__ == '__main__':
    main()
