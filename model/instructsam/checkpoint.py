# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints on disk and on the Hugging Face hub: finding, checking, reading, writing."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from instructsam.configuration import CONFIG_NAME, InstructSAMConfig

WEIGHTS_NAME = 'model.safetensors'
INDEX_NAME = 'model.safetensors.index.json'
GENERATION_NAME = 'generation_config.json'
DEFAULT_CHECKPOINT = 'tabletop'
_LORA_NAMES = ('adapter_model.safetensors', 'adapter_model.bin', 'non_lora_trainables.bin')
_HUB_FILES = ('*.json', '*.safetensors', '*.txt', '*.jinja', '*.model')
_HUB_ID = re.compile(r'[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*')
_DTYPES = (torch.float32, torch.bfloat16)
_REFERENCE_POINTS = 'model.grounding_model.model.detr_decoder.reference_points.weight'
_NAMED = 4


def default_checkpoint() -> Path:
    """Return the directory of the checkpoint that comes with the package.

    Raises:
        FileNotFoundError: it was not installed.
    """
    package = Path(__file__).resolve().parent
    places = [base / 'checkpoints' / DEFAULT_CHECKPOINT for base in (package, package.parent)]
    for place in places:
        if (place / CONFIG_NAME).is_file():
            return place
    raise FileNotFoundError(f'the default checkpoint is not in {places[0]} or {places[1]}: install '
                            'the package again, or name a checkpoint')


def resolve(path_or_id: str | os.PathLike[str]) -> Path:
    """Return a checkpoint's directory, downloading it if it is a hub id.

    Raises:
        FileNotFoundError: there is no such directory, and no such hub id within reach.
    """
    directory = Path(path_or_id).expanduser()
    if directory.is_dir():
        return directory
    name = os.fspath(path_or_id)
    if directory.exists():
        raise FileNotFoundError(f'{name} is a file: name the checkpoint directory that holds it')
    if not _HUB_ID.fullmatch(name):
        raise FileNotFoundError(f'no checkpoint directory {name}: check the path, or use a hub id '
                                'such as owner/name')
    return _download(name)


def resolve_device(device: str | torch.device, dtype: torch.dtype | None = None
                   ) -> tuple[torch.device, torch.dtype]:
    """Turn 'auto', 'cpu', 'cuda', 'cuda:1' into a device that is there, and choose its dtype.

    Raises:
        ValueError: the device is unknown or absent, or the dtype is not supported.
    """
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f'unknown device {device!r}: use auto, cpu or cuda') from error
    if found.type == 'cuda':
        if not torch.cuda.is_available():
            raise ValueError(f'device {device} was asked for but PyTorch sees no CUDA GPU: use '
                             'device cpu, or install a CUDA build of PyTorch and its driver')
        if found.index is not None and found.index >= torch.cuda.device_count():
            raise ValueError(f'device {device} was asked for but there are '
                             f'{torch.cuda.device_count()} GPUs: use cuda:0')
    if dtype is None:
        dtype = torch.bfloat16 if found.type == 'cuda' else torch.float32
    if dtype not in _DTYPES:
        raise ValueError(f'dtype {dtype} is not supported: use torch.float32 or torch.bfloat16')
    return found, dtype


def fit_reference_points(config: InstructSAMConfig, directory: Path) -> None:
    """Give the detector as many reference points as the weights hold.

    A published config does not say: SAM3 itself has 200, of which the first serve the queries.
    """
    for file in _weight_files(directory):
        try:
            with safe_open(file, framework='pt') as handle:
                if _REFERENCE_POINTS in handle.offset_keys():
                    rows = handle.get_slice(_REFERENCE_POINTS).get_shape()[0]
                    config.sam3.detr_decoder_config.num_queries = max(rows, config.max_seg_nums)
                    return
        except SafetensorError:
            return  # load_weights names damaged files


def load_weights(model: nn.Module, directory: Path, *, device: torch.device,
                 dtype_of: Callable[[str], torch.dtype]) -> None:
    """Give a model that was built on the meta device its weights.

    Names and shapes are checked from the files' headers before anything is read; `dtype_of` says
    of what type the tensor of a name shall be.

    Raises:
        FileNotFoundError: there are no weights, or a shard is missing.
        ValueError: unmerged LoRA adapters, a damaged file, or tensors that are missing,
            unexpected or of another shape than the config says.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    files = _weight_files(directory)
    tensors: dict[str, Tensor] = {}
    # On a CPU tensors are views of the mapped file: badly aligned, and gone if the file changes.
    copy = device.type == 'cpu'
    try:
        found: dict[str, tuple[int, ...]] = {}
        for file in files:
            with safe_open(file, framework='pt') as handle:
                found |= {name: tuple(handle.get_slice(name).get_shape())
                          for name in handle.offset_keys()}
        _check_tensors(directory, expected, found)
        for file in files:
            with safe_open(file, framework='pt', device=str(device)) as handle:
                for name in handle.offset_keys():
                    tensors[name] = handle.get_tensor(name).to(dtype_of(name), copy=copy)
    except SafetensorError as error:
        raise ValueError(f'the weights in {directory} are damaged ({error}): '
                         'download them again') from error
    model.load_state_dict(tensors, strict=True, assign=True)


def save(model: nn.Module, config: InstructSAMConfig, directory: str | os.PathLike[str], *,
         tokenizer: Any = None, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint: config, weights, generation defaults and, if given, the tokenizer.

    The weights are replaced in one step: whoever reads meanwhile gets the old or the new file.
    """
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to(device='cpu', dtype=dtype or tensor.dtype).contiguous()
        for name, tensor in model.state_dict().items()}
    config_file = config.save(target)
    partial = target / (WEIGHTS_NAME + '.partial')
    save_file(tensors, partial, metadata={'format': 'pt'})
    shutil.copymode(config_file, partial)  # safetensors lets nobody but the owner read
    partial.replace(target / WEIGHTS_NAME)
    generation = {
        'do_sample': False, 'max_new_tokens': config.max_new_tokens,
        'eos_token_id': [config.im_end_token_id, config.endoftext_token_id],
        'pad_token_id': config.endoftext_token_id}
    (target / GENERATION_NAME).write_text(json.dumps(generation, indent=2) + '\n',
                                          encoding='utf-8')
    if tokenizer is not None:
        tokenizer.save_pretrained(target)


def load_tokenizer(directory: Path, config: InstructSAMConfig) -> Any:
    """Load a checkpoint's tokenizer and check that it fits the config.

    Raises:
        FileNotFoundError: the checkpoint has none.
        ValueError: it cannot be read, or gives a special token another id than the config.
    """
    from transformers import AutoTokenizer

    if not any((directory / name).is_file() for name in ('tokenizer.json', 'vocab.json')):
        raise FileNotFoundError(f'no tokenizer in {directory}: copy tokenizer.json and '
                                'tokenizer_config.json of the checkpoint there')
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory)
    except Exception as error:  # transformers raises whatever its parsers do
        reason = ' '.join(str(error).split())
        raise ValueError(f'the tokenizer in {directory} cannot be read ({reason}): '
                         'download it again') from error
    wanted = {
        '<|im_end|>': config.im_end_token_id, '<|image_pad|>': config.image_token_id,
        '<|object_ref_start|>': config.ref_start_token_index,
        '<|object_ref_end|>': config.ref_end_token_index}
    for token, index in wanted.items():
        if tokenizer.convert_tokens_to_ids(token) != index:
            raise ValueError(f'the tokenizer in {directory} gives {token} the id '
                             f'{tokenizer.convert_tokens_to_ids(token)} but {CONFIG_NAME} says '
                             f'{index}: they are of different checkpoints')
    return tokenizer


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_HUB_FILES)))
    except GatedRepoError as error:
        raise FileNotFoundError(f'{hub_id} on the Hugging Face hub asks for access: request it on '
                                'its page, then run `hf auth login`') from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise FileNotFoundError(f'{hub_id} is neither a directory nor a model on the Hugging Face '
                                'hub: check the name') from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise FileNotFoundError(
            f'{hub_id} is not a directory here, and the Hugging Face hub cannot be reached: check '
            'the path or the network, or give a downloaded directory') from error


def _weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint, in a fixed order."""
    single = directory / WEIGHTS_NAME
    index = directory / INDEX_NAME
    if single.is_file():
        return [single]
    if index.is_file():
        try:
            weight_map = json.loads(index.read_text(encoding='utf-8'))['weight_map']
            shards = sorted(set(weight_map.values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(f'{index} cannot be read: download it again') from error
        missing = [name for name in shards if not (directory / name).is_file()]
        if missing:
            raise FileNotFoundError(f'{len(missing)} of {len(shards)} weight files are missing in '
                                    f'{directory} ({_some(missing)}): download them again')
        return [directory / name for name in shards]
    adapters = [name for name in _LORA_NAMES if (directory / name).is_file()]
    if adapters:
        raise ValueError(f'{directory} holds an unmerged LoRA run ({_some(adapters)}): merge the '
                         f'adapters into the base model and save it as {WEIGHTS_NAME} first')
    raise FileNotFoundError(f'no {WEIGHTS_NAME} or {INDEX_NAME} in {directory}: only safetensors '
                            'checkpoints are read')


def _check_tensors(directory: Path, expected: Mapping[str, tuple[int, ...]],
                   found: Mapping[str, tuple[int, ...]]) -> None:
    shapes = [f'{name} is {list(found[name])}, not {list(shape)}'
              for name, shape in expected.items() if name in found and found[name] != shape]
    problems = []
    for what, names in (('missing', [name for name in expected if name not in found]),
                        ('unexpected', [name for name in found if name not in expected]),
                        ('of another shape than config.json says', shapes)):
        if names:
            problems.append(f'{len(names)} tensors are {what} ({_some(names)})')
    if problems:
        raise ValueError(f'the weights in {directory} do not fit {CONFIG_NAME}: '
                         f'{"; ".join(problems)}; use the weights and config of one checkpoint')


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ', '.join(names[:_NAMED]) + (', ...' if len(names) > _NAMED else '')
