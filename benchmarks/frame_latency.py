# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time per stage of one frame end to end, and the memory it takes.

    python benchmarks/frame_latency.py [--model DIR] [--device cpu] [--threads N] [--repeats 20]

Picture and depth in, overlay out: a drawn tabletop frame with noisy depth and one instruction,
after a few warm-up rounds. Goal with the default checkpoint on 2 CPU cores, one phrase: 150 ms,
1.5 GB peak resident memory.
"""

import argparse
import resource
import time
from collections import defaultdict

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from instructsam.tabletop import splits
from instructsam.tabletop.depth_noise import add_depth_noise
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.drawing import draw_overlay
from instructsam_ros.perception.frame import Frame
from instructsam_ros.perception.pipeline import PerceptionPipeline
from instructsam_ros.perception.segmenter import load_segmenter

WARM_UP = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', help='checkpoint folder or hub id (default: the tabletop one)')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threads', type=int, help="PyTorch's threads (default: its own choice)")
    parser.add_argument('--repeats', type=int, default=20)
    parser.add_argument('--instruction', help='default: one of the frame, with one phrase')
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    frame, instruction = _frame_and_instruction()
    instruction = options.instruction or instruction
    begin = time.perf_counter()
    pipeline = PerceptionPipeline(load_segmenter(options.model, options.device))
    loading = time.perf_counter() - begin

    seconds: dict[str, list[float]] = defaultdict(list)
    for repeat in range(WARM_UP + options.repeats):
        begin = time.perf_counter()
        result = pipeline.run(frame, instruction)
        perceived = time.perf_counter()
        draw_overlay(frame.image, result.segmentation.instances, result.targets)
        end = time.perf_counter()
        if repeat < WARM_UP:
            continue
        for name, value in result.segmentation.timings.items():
            seconds[f'  {name}'].append(value)
        seconds['segment, all of the above'].append(result.timings['segment'])
        seconds['project to 3D'].append(result.timings['project'])
        seconds['segment and project'].append(perceived - begin)
        seconds['draw the overlay'].append(end - perceived)

    found = len(result.segmentation.instances)
    height, width = frame.image.shape[:2]
    table = Table(
        title=f'"{instruction}": {len(result.segmentation.phrases)} phrase(s), {found} found, '
        f'{width}x{height}'
    )
    for name in ('stage', 'median ms', '90 % ms'):
        table.add_column(name, justify='left' if name == 'stage' else 'right')
    for name, values in seconds.items():
        median, high = (1000 * np.percentile(values, share) for share in (50, 90))
        table.add_row(name, f'{median:.1f}', f'{high:.1f}')
    console = Console()
    console.print(table)
    # Linux gives kilobytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    device = torch.cuda.get_device_name() if _on_cuda(options.device) else 'CPU'
    console.print(
        f'{device}, {torch.get_num_threads()} threads, {options.repeats} repeats; '
        f'peak resident memory {peak:.0f} MB; loading took {loading:.1f} s'
    )


def _on_cuda(device: str) -> bool:
    return torch.cuda.is_available() and device != 'cpu'


def _frame_and_instruction() -> tuple[Frame, str]:
    sample = splits.load('test', 0)
    camera = sample.frame.scene.camera
    model = CameraModel.from_k(camera.K, camera.width, camera.height)
    rng = np.random.default_rng(0)
    depth = add_depth_noise(sample.frame.depth, rng, focal=float(camera.K[0, 0]))
    frame = Frame(sample.frame.image, depth, model, camera.pose)
    single = [one.text for one in sample.instructions if len(one.phrases) == 1 and one.objects]
    return frame, (single or ['the red object'])[0]


if __name__ == '__main__':
    main()
