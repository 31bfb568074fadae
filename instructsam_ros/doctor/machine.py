# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Python, the libraries, the disk, torch and the GPU, the checkpoint."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from instructsam_ros.doctor.finding import FAIL, OK, WARN, Finding

_OLDEST = (3, 10)
# module, distribution, and what to do when it does not import
_LIBRARIES = (
    ('numpy', 'numpy'), ('scipy', 'scipy'), ('cv2', 'opencv-python-headless'),
    ('yaml', 'pyyaml'), ('rich', 'rich'), ('pycocotools', 'pycocotools'),
    ('tokenizers', 'tokenizers'), ('safetensors', 'safetensors'), ('transformers', 'transformers'),
)
_LITTLE = 2 * 10**9  # bytes; a hub checkpoint is some GB


def python() -> Iterator[Finding]:
    """Look at the interpreter."""
    version = platform.python_version()
    where = f'{version} at {sys.executable}'
    if sys.version_info[:2] < _OLDEST:
        yield Finding('Python', FAIL, where, 'use Python 3.10 or newer')
        return
    isolated = 'virtual environment' if sys.prefix != sys.base_prefix else 'no virtual environment'
    yield Finding('Python', OK, f'{where}, {isolated}')


def package() -> Iterator[Finding]:
    """Look at our own installation."""
    from xml.etree import ElementTree

    from instructsam_ros.launching.packages import PACKAGE, PackageMissingError, package_share

    try:
        share = package_share(PACKAGE)
    except PackageMissingError as error:
        yield Finding(PACKAGE, FAIL, str(error), 'run pip install again')
        return
    version = ElementTree.parse(share / 'package.xml').getroot().findtext('version')
    missing = [name for name in ('launch', 'config', 'msg', 'srv') if not (share / name).is_dir()]
    if missing:
        yield Finding(PACKAGE, FAIL, f'{version}, but {share} has no {", ".join(missing)}',
                      'install the package again')
        return
    yield Finding(PACKAGE, OK, f'{version}, files in {share}')


def libraries() -> Iterator[Finding]:
    """Import what the model and the pictures need, torch apart."""
    versions = []
    for module, distribution in _LIBRARIES:
        try:
            found = importlib.import_module(module)
        except Exception as error:  # a broken binary raises anything
            mend = f'pip install {distribution}'
            if 'libGL' in str(error):
                mend = 'pip uninstall opencv-python; pip install opencv-python-headless'
            elif 'numpy' in str(error).lower() and module != 'numpy':
                mend = f'its NumPy differs from this one: pip install --upgrade {distribution}'
            yield Finding(module, FAIL, f'does not import: {error}', mend)
            continue
        versions.append(f'{module} {_version(distribution, found)}')
    if versions:
        yield Finding('libraries', OK, ', '.join(versions))


def disk() -> Iterator[Finding]:
    """Look at the free space where checkpoints from a hub would go."""
    cache = Path(os.environ.get('HF_HOME') or Path.home() / '.cache' / 'huggingface')
    folder = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    detail = f'{free / 1e9:.1f} GB free in {folder}'
    if free < _LITTLE:
        yield Finding('disk', WARN, detail, 'large checkpoints will not fit: set HF_HOME to a '
                      'folder on another disk')
    else:
        yield Finding('disk', OK, detail)


def torch() -> Iterator[Finding]:
    """Look at torch and whether it reaches the GPU, with a small calculation."""
    try:
        library = importlib.import_module('torch')
    except Exception as error:
        yield Finding('torch', FAIL, f'does not import: {error}', "pip install 'torch>=2.9'")
        return
    detail = f'{library.__version__}, {library.get_num_threads()} threads'
    if library.cuda.is_available():
        try:
            # a driver that is too old is only found out by use
            library.ones(8, device='cuda').sum().item()
        except RuntimeError as error:
            yield Finding('torch', WARN, f'{detail}; the GPU does not work: {error}',
                          'update the NVIDIA driver, or set device to cpu')
            return
        name = library.cuda.get_device_name()
        memory = library.cuda.get_device_properties(0).total_memory
        yield Finding('torch', OK, f'{detail}, {name} with {memory / 2**30:.0f} GiB')
    elif shutil.which('nvidia-smi'):
        built = library.version.cuda
        yield Finding(
            'torch', WARN, f'{detail}; there is an NVIDIA GPU, but torch does not reach it',
            'update the NVIDIA driver' if built else 'install a torch with CUDA: see pytorch.org')
    else:
        yield Finding('torch', OK, f'{detail}, CPU only (no NVIDIA GPU found)')


def checkpoint(model: str | None, device: str) -> Iterator[Finding]:
    """Load the model and let it look at an empty picture."""
    import numpy as np

    from instructsam_ros.perception.segmenter import load_segmenter

    subject = f'checkpoint {model or "tabletop (included)"}'
    began = time.perf_counter()
    try:
        segmenter = load_segmenter(model, device)
    except Exception as error:
        yield Finding(subject, FAIL, f'does not load: {error}',
                      'name a folder with config.json, or a hub id' if model
                      else 'install the package again')
        return
    loaded = time.perf_counter()
    picture = np.full((240, 320, 3), 128, np.uint8)
    segmenter.segment(picture, 'the red mug')
    first = time.perf_counter()
    segmenter.segment(picture, 'the red mug')
    yield Finding(
        subject, OK, f'loads in {loaded - began:.1f} s, first picture {first - loaded:.2f} s, '
        f'then {time.perf_counter() - first:.2f} s (320x240)')


def _version(distribution: str, module: object) -> str:
    found = getattr(module, '__version__', None)
    if found is None:
        try:
            found = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found = '(version unknown)'
    return str(found)
