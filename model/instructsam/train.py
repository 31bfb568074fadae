# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m instructsam.train --config RECIPE``: train or fine-tune a checkpoint.

For several devices or processes start it with torchrun:
``torchrun --nproc-per-node 2 -m instructsam.train --config tabletop-cpu``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import yaml


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m instructsam.train', description='Train or fine-tune an InstructSAM.')
    parser.add_argument('--config', required=True, metavar='RECIPE',
                        help='a shipped recipe (tabletop-cpu, tabletop-gpu, finetune-stage1, '
                             'finetune-stage2) or a YAML file')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE',
                        help='change one setting, e.g. --set optimizer.lr=1e-3')
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--fresh', action='store_true',
                        help='start over although the output holds a state to resume from')
    parser.add_argument('--threads', type=int, help='CPU threads of each process')
    options = parser.parse_args(arguments)
    try:
        from instructsam.training.settings import TrainingSettings

        settings = TrainingSettings.load(options.config, options.set)
    except (ValueError, FileNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    try:
        import torch

        from instructsam.training.trainer import Trainer
    except ModuleNotFoundError as error:
        if (error.name or '').startswith('instructsam'):
            raise
        print(f'error: {error.name} is missing: pip install "instructsam_ros[train]"',
              file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads or _threads())
    try:
        if options.device == 'cuda' and not torch.cuda.is_available():
            raise ValueError('--device cuda: torch sees no CUDA device; use --device cpu')
        trainer = Trainer(settings, options.device)
    except (ValueError, FileNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    if trainer.rank == 0:
        (trainer.output / 'settings.yaml').write_text(yaml.safe_dump(
            _plain(settings.to_dict()), sort_keys=False))
    folder = trainer.run(resume=not options.fresh)
    if trainer.rank == 0:
        print(f'checkpoint written to {folder}')
    return 0


def _threads() -> int:
    """Share the cores between the processes that torchrun started."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get('LOCAL_WORLD_SIZE', '1')))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


if __name__ == '__main__':
    sys.exit(main())
