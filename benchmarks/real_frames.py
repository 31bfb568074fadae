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

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from instructsam.segmenter import InstructSAMSegmenter


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
            image = cv2.cvtColor(cv2.imread(str(frame)), cv2.COLOR_BGR2RGB)
            labels = cv2.imread(str(frame.parent / f'labels_{frame.stem[-3:]}.png'),
                                cv2.IMREAD_UNCHANGED)
            truth = labels == int(label) if int(label) else np.zeros(labels.shape, bool)
            found = np.zeros(labels.shape, bool)
            result = segmenter.segment(image, instruction, threshold=options.threshold)
            for instance in result.instances:
                found |= instance.mask
            union = (found | truth).sum()
            values.append(float((found & truth).sum() / union) if union else 1.0)
        table.add_row(instruction, label, f'{np.mean(values):.3f}', f'{np.median(values):.3f}',
                      *(f'{v:.2f}' for v in values))
    Console(width=140).print(table)


if __name__ == '__main__':
    main()
