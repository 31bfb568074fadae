# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which files make up a bag, by its metadata.yaml or, where that lacks, by their names."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from instructsam_ros.replay.compression import zstd
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.files import is_latched

METADATA = 'metadata.yaml'
_STORAGES = {'.mcap': 'mcap', '.db3': 'sqlite3', '.bag': 'ros1'}
_ZSTD = '.zstd'


@dataclass(frozen=True)
class BagLayout:
    """The files of a bag in order.

    Attributes:
        files: paths, in the order of recording.
        storage: 'mcap', 'sqlite3' or 'ros1'.
        per_message: every message is compressed by itself (zstd).
        note: what is odd about it, '' if nothing is.
        distro: ROS distribution that recorded it, '' if unknown.
        stated: (topic, type, latched) -> count as metadata.yaml says; None without.
        start_ns, end_ns: of the first message and just after the last, as it says.
    """

    files: tuple[Path, ...]
    storage: str
    per_message: bool = False
    note: str = ''
    distro: str = ''
    stated: dict[tuple[str, str, bool], int] | None = None
    start_ns: int = 0
    end_ns: int = 0

    @property
    def is_packed(self) -> bool:
        """Whether files have to be unpacked before they can be read."""
        return any(one.suffix == _ZSTD for one in self.files)


def bag_layout(path: Path) -> BagLayout:
    """Return the files of the bag at ``path``, a folder or a file. Raises BagError, OSError."""
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such bag')
    if path.is_file():
        return _single_file(path)
    if (path / METADATA).is_file():
        return _from_metadata(path)
    files = sorted((one for one in path.iterdir() if _storage(one)), key=_natural)
    if not files:
        raise BagError(
            f'{path}: is no bag: it holds neither {METADATA} nor .mcap or .db3 files')
    if len({_storage(one) for one in files}) > 1:
        names = ', '.join(one.name for one in files)
        raise BagError(f'{path}: holds bag files of different kinds ({names}): give one of them')
    return BagLayout(
        tuple(files), _storage(files[0]),
        note=f'{METADATA} is missing: the recording was not finished; its files are read by name')


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give the file itself, or where it is compressed, a copy in the folder for temporary files.

    Raises BagError for damaged data, OSError where there is no room.
    """
    if path.suffix != _ZSTD:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix='instructsam_bag_') as folder:
        target = Path(folder) / path.stem
        try:
            with zstd.open(path, 'rb') as source, target.open('wb') as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
        except (zstd.ZstdError, EOFError):
            # what could be unpacked may still be read, and says that it was cut short
            pass
        except OSError as error:
            raise OSError(
                error.errno, f'unpacking {path.name} into {folder} failed ({error.strerror}); set '
                'TMPDIR to a folder with more room') from None
        yield target


def unpacked_message(data: bytes) -> bytes:
    """Return a message that was compressed by itself. Raises BagError."""
    try:
        return zstd.decompress(data)
    except zstd.ZstdError as error:
        raise BagError(f'a compressed message is damaged ({error})') from None


def _single_file(path: Path) -> BagLayout:
    storage = _storage(path)
    if not storage:
        raise BagError(
            f'{path}: is no bag: give the folder of a ROS 2 bag, an .mcap or .db3 file, or a ROS 1 '
            '.bag')
    beside = path.parent / METADATA
    if beside.is_file():
        # only the metadata tells whether messages are compressed
        try:
            whole = _from_metadata(path.parent)
        except (BagError, OSError):
            return BagLayout((path,), storage)
        if path.name in {one.name for one in whole.files}:
            return BagLayout((path,), storage, whole.per_message, distro=whole.distro)
    return BagLayout((path,), storage)


def _from_metadata(folder: Path) -> BagLayout:
    place = folder / METADATA
    try:
        content = yaml.safe_load(place.read_text(encoding='utf-8'))
        information: dict[str, Any] = content['rosbag2_bagfile_information']
        names = [PurePath(str(name)).name for name in information['relative_file_paths']]
        storage = str(information['storage_identifier'])
        mode = str(information.get('compression_mode') or '').lower()
        form = str(information.get('compression_format') or '')
        distro = str(information.get('ros_distro') or '')
        start_ns = int(information['starting_time']['nanoseconds_since_epoch'])
        duration_ns = int(information['duration']['nanoseconds'])
        stated = {_stated(one['topic_metadata']): int(one['message_count'])
                  for one in information['topics_with_message_count']}
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BagError(
            f'{place}: is no metadata of a bag ({type(error).__name__}: {error}): remove it to '
            'read the files beside it by name') from None
    if not names:
        raise BagError(f'{folder}: its metadata names no file: nothing was recorded')
    if storage not in _STORAGES.values():
        raise BagError(
            f"{folder}: is stored as '{storage}', only mcap and sqlite3 can be read: convert it "
            'with "ros2 bag convert"')
    if mode in ('file', 'message') and form != 'zstd':
        raise BagError(
            f"{folder}: is compressed as '{form}', only zstd can be read: convert it with \"ros2 "
            'bag convert"')
    files = [_as_it_lies(folder / name) for name in names]
    found = [one for one in files if one.is_file()]
    if not found:
        raise BagError(f'{folder}: none of its files is there: {", ".join(names)}')
    absent = ', '.join(one.name for one in files if not one.is_file())
    note = f'files of the bag are missing and left out: {absent}' if absent else ''
    has_any = bool(sum(stated.values()))
    return BagLayout(
        tuple(found), storage, mode == 'message', note, distro, stated,
        start_ns if has_any else 0, start_ns + duration_ns + 1 if has_any else 0)


def _stated(topic: dict[str, Any]) -> tuple[str, str, bool]:
    profiles = str(topic.get('offered_qos_profiles') or '')
    return str(topic['name']), str(topic['type']), is_latched(profiles)


def _as_it_lies(place: Path) -> Path:
    """Return the file that is there: metadata names what was packed, also where it is no more."""
    by_hand = place.with_suffix('')
    is_by_hand = place.suffix == _ZSTD and not place.exists() and by_hand.exists()
    return by_hand if is_by_hand else place


def _storage(path: Path) -> str:
    suffix = path.with_suffix('').suffix if path.suffix == _ZSTD else path.suffix
    return _STORAGES.get(suffix, '')


def _natural(path: Path) -> list[Any]:
    """Sort bag_2 before bag_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', path.name)]
