# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judge a checkpoint on photographs with label images.

The folder holds ``color_NNN.jpg`` and ``labels_NNN.png`` (0 nothing, k the k-th thing):

    python benchmarks/real_frames.py FOLDER --ask 1 "the red object" --ask 2 "the orange ball" \
        --ask 0 "the green cube"

A question with label 0 asks for something that is not there: any mask is an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from instructsam.segmenter import InstructSAMSegmenter
from instructsam_ros.perception.images import read_image


def main() -> None:
    """Ask every question of every frame and print the IoU of the union masks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--ask', nargs=2, action='append', required=True,
                        metavar=('LABEL', 'INSTRUCTION'))
    parser.add_argument('--model')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threshold', type=float)
    options = parser.parse_args()
    segmenter = InstructSAMSegmenter.from_pretrained(options.model, options.device)
    frames = sorted(options.folder.glob('color_*.*'))
    table = Table(title=f'{options.folder.name}: IoU per frame', box=None)
    for name in ('instruction', 'label', 'mean', 'median', *(f.stem[-3:] for f in frames)):
        table.add_column(name, justify='right')
    for label, instruction in options.ask:
        values = []
        for frame in frames:
            image = read_image(frame)
            # a grey label image comes back with its number in every channel
            labels = read_image(frame.parent / f'labels_{frame.stem[-3:]}.png')[..., 0]
            truth = np.equal(labels, int(label)) & (int(label) > 0)
            result = segmenter.segment(image, instruction, threshold=options.threshold)
            found = np.zeros(truth.shape, np.bool_)
            for instance in result.instances:
                found = found | instance.mask
            union = np.count_nonzero(found | truth)
            values.append(np.count_nonzero(found & truth) / union if union else 1.0)
        table.add_row(instruction, label, f'{np.mean(values):.3f}', f'{np.median(values):.3f}',
                      *(f'{v:.2f}' for v in values))
    Console(width=140).print(table)


if __name__ == '__main__':
    main()
