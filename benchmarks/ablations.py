# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What hybrid attention and ten queries are worth, at equal budget.

Every variant continues from the same checkpoint for the same number of steps with the same
batches, then answers the same frames by itself:

    python benchmarks/ablations.py --steps 100 --frames 60
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from instructsam.checkpoint import default_checkpoint

VARIANTS = {
    'hybrid attention, 10 queries': [],
    'causal attention, 10 queries': ['attention=causal'],
    'hybrid attention, 1 query': ['queries=1'],
}


def main() -> None:
    """Train and evaluate every variant, then print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--start', default=str(default_checkpoint()))
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--frames', type=int, default=60, help='frames of the split to judge by')
    parser.add_argument('--split', default='val')
    parser.add_argument('--lr', default='5e-4')
    parser.add_argument('--processes', type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    reports = {}
    for name, changes in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            settings = [f'start={options.start}', f'output={folder}', f'steps={options.steps}',
                        'vision_steps=0', f'optimizer.lr={options.lr}', 'optimizer.ema=0.9',
                        'data.seed=7', *changes]
            subprocess.run(
                [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node',
                 str(options.processes), '-m', 'instructsam.train', '--config', 'tabletop-cpu',
                 '--threads', '1', *(part for s in settings for part in ('--set', s))], check=True)
            report = Path(folder) / 'report.json'
            subprocess.run(
                [sys.executable, '-m', 'instructsam.evaluate', '--split', options.split,
                 '--model', folder, '--limit', str(options.frames), '--json', str(report)],
                check=True)
            reports[name] = json.loads(report.read_text())
    _print(reports)


def _print(reports: dict[str, dict]) -> None:
    kinds = sorted({kind for report in reports.values() for kind in report['by_kind']})
    table = Table(title='gIoU after equal training', box=None)
    table.add_column('variant')
    for name in ('all', *kinds):
        table.add_column(name, justify='right')
    for name, report in reports.items():
        table.add_row(name, f'{report["overall"]["gIoU"]:.3f}', *(
            f'{report["by_kind"][k]["gIoU"]:.3f}' if k in report['by_kind'] else '' for k in kinds))
    Console(width=140).print(table)


if __name__ == '__main__':
    main()
