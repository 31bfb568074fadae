# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is shipped, and the rules that hold for every file of it."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted([
    *(ROOT / 'model' / 'instructsam').rglob('*.py'), *(ROOT / 'instructsam_ros').rglob('*.py')])
SOURCES = sorted([
    *SHIPPED, *ROOT.glob('*.py'), *ROOT.glob('benchmarks/*.py'), *ROOT.glob('test/**/*.py'),
    *(path for path in ROOT.glob('scripts/*') if path.is_file())])
LONGEST_MODULE = 500
# Modules that are called differently from what pip or rosdep installs them with.
DISTRIBUTIONS = {
    'backports': 'backports.zstd', 'compression': 'backports.zstd',
    'cv2': 'opencv-python-headless', 'huggingface_hub': 'transformers', 'tf2_ros': 'tf2_ros_py',
    'yaml': 'pyyaml'}
# For type checkers; only imported by who passes one of its pictures; only by who has MoveIt.
NOT_NEEDED = {'_typeshed', 'PIL', 'moveit_msgs'}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported_modules(path: Path) -> Iterator[str]:
    """Yield what a file imports anywhere, also inside functions and through importlib."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif (isinstance(node, ast.Call) and 'import_module' in ast.unparse(node.func)
              and node.args and isinstance(node.args[0], ast.Constant)):
            yield str(node.args[0].value)


def files_that_import(module: str, files: list[Path]) -> list[str]:
    return [name_of(path) for path in files
            if any(name.partition('.')[0] == module for name in imported_modules(path))]


@pytest.fixture(scope='module')
def metadata() -> dict[str, object]:
    """Return what setup() gets: setup.py's arguments merged with pyproject.toml."""
    # A process of its own: setup() reads files relative to the working directory.
    code = (
        'import json, setuptools\n'
        'found = {}\n'
        'def setup(**arguments): found.update(arguments)\n'
        'setuptools.setup = setup\n'
        "exec(compile(open('setup.py').read(), 'setup.py', 'exec'), {'__file__': 'setup.py'})\n"
        'print(json.dumps(found))\n')
    pytest.importorskip('setuptools', reason='setuptools is not installed')
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    arguments = json.loads(result.stdout)
    assert isinstance(arguments, dict)
    return arguments


def test_version_is_that_of_package_xml(metadata: dict[str, object]) -> None:
    version = ElementTree.parse(ROOT / 'package.xml').getroot().findtext('version')
    assert metadata['version'] == version
    assert re.fullmatch(r'\d+\.\d+\.\d+', version or '')  # the only form that ROS tools take


def test_every_package_is_installed(metadata: dict[str, object]) -> None:
    packages = metadata['packages']
    assert isinstance(packages, list)
    folders = {name_of(path.parent).removeprefix('model/').replace('/', '.') for path in SHIPPED}
    # A folder of modules without __init__.py would be left out of the wheel.
    assert folders == set(packages) - {'instructsam.checkpoints'}


def test_data_files_exist_and_are_complete(metadata: dict[str, object]) -> None:
    data_files = metadata['data_files']
    assert isinstance(data_files, list)
    listed = [file for _, files in data_files for file in files]
    assert all((ROOT / file).is_file() for file in listed)
    interfaces = {name_of(path) for path in [*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')]}
    assert interfaces <= set(listed)
    assert {name_of(path) for folder in ('launch', 'config')
            for path in (ROOT / folder).iterdir()} <= set(listed)
    assert 'package.xml' in listed
    # ament's index: a file with the package's name under resource_index/packages.
    assert ['share/ament_index/resource_index/packages', ['resource/instructsam_ros']] in data_files


def test_default_checkpoint_is_whole() -> None:
    from instructsam.checkpoint import default_checkpoint
    folder = default_checkpoint()
    assert folder.name == 'tabletop'
    for name in ('config.json', 'tokenizer.json', 'README.md'):
        assert (folder / name).is_file(), name
    weights = list(folder.glob('*.safetensors'))
    assert weights
    # The limit for what is committed; every clone carries it.
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 30e6


def test_command_is_declared_and_importable() -> None:
    text = (ROOT / 'pyproject.toml').read_text()
    found = re.search(r"^instructsam-ros = '([\w.]+):(\w+)'$", text, re.MULTILINE)
    assert found
    module, function = found.groups()
    assert callable(getattr(importlib.import_module(module), function))


def test_every_node_can_be_run_by_ros_2() -> None:
    cmake = (ROOT / 'CMakeLists.txt').read_text()
    nodes = {path.stem for path in (ROOT / 'instructsam_ros' / 'nodes').glob('*_node.py')}
    assert nodes
    for node in nodes:
        script = ROOT / 'scripts' / node
        assert os.access(script, os.X_OK), f'no executable scripts/{node}'
        assert f'instructsam_ros.nodes.{node}' in set(imported_modules(script))
        assert re.search(rf'\bscripts/{node}\b', cmake), f'{node} is not installed by CMake'


def test_a_colcon_build_installs_launch_files_and_presets() -> None:
    folders = re.findall(
        r'install\(DIRECTORY ([^)]*?)\s+DESTINATION share/\$\{PROJECT_NAME\}\s*\)',
        (ROOT / 'CMakeLists.txt').read_text())
    assert {'launch', 'config'} <= {word for group in folders for word in group.split()}


def test_a_source_distribution_has_what_setup_py_installs(metadata: dict[str, object]) -> None:
    data_files = metadata['data_files']
    assert isinstance(data_files, list)
    folders = {Path(file).parts[0] for _, files in data_files for file in files if '/' in file}
    grafted = set(re.findall(
        r'^graft (\w+)$', (ROOT / 'MANIFEST.in').read_text(), re.MULTILINE))
    assert folders <= grafted


def test_everything_that_is_imported_is_declared() -> None:
    text = (ROOT / 'pyproject.toml').read_text().partition('[project.scripts]')[0]
    python = re.findall(r"""["']([a-z0-9_.-]+)[<>=;]""", text)
    manifest = ElementTree.parse(ROOT / 'package.xml').getroot()
    ros = {one.text for one in manifest if one.tag.endswith('depend')}
    own = {'instructsam', 'instructsam_ros'}
    known = {*python, *ros, *own, *NOT_NEEDED, *sys.stdlib_module_names}
    missing: dict[str, set[str]] = {}
    for path in SHIPPED:
        # the embedded client makes the message packages that it imports itself
        if 'embedded' in path.parts:
            continue
        for name in imported_modules(path):
            top = name.partition('.')[0]
            if DISTRIBUTIONS.get(top, top) not in known:
                missing.setdefault(top, set()).add(name_of(path))
    assert missing == {}


def test_package_init_is_empty() -> None:
    # rosidl generates a second, empty one at the same place.
    assert (ROOT / 'instructsam_ros' / '__init__.py').read_text() == ''


def test_nothing_imports_torchvision() -> None:
    assert files_that_import('torchvision', SHIPPED) == []


def test_torchvision_is_not_required() -> None:
    assert not re.search(r"^\s*'torchvision", (ROOT / 'pyproject.toml').read_text(), re.MULTILINE)


def test_model_does_not_know_the_robot() -> None:
    files = [path for path in SHIPPED if 'model' in path.relative_to(ROOT).parts]
    assert files_that_import('instructsam_ros', files) == []


def test_perception_does_not_know_ros_or_a_model() -> None:
    files = sorted((ROOT / 'instructsam_ros' / 'perception').rglob('*.py'))
    assert files
    for module in ('rclpy', 'sensor_msgs', 'geometry_msgs', 'cv_bridge', 'tf2_ros'):
        assert files_that_import(module, files) == []


@pytest.mark.parametrize('module', ['instructsam', 'instructsam_ros.cli'])
def test_import_is_free_of_heavy_modules(module: str) -> None:
    # `--help` and shell completion should not wait for torch.
    code = (f'import sys, {module}\n'
            'print(*({"torch", "transformers", "rclpy"} & set(sys.modules)))')
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / 'model')]))
    result = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ''


def test_no_module_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_every_source_has_the_licence_header() -> None:
    header = ('# Copyright 2026 instructsam_ros authors\n'
              '# SPDX-License-Identifier: Apache-2.0\n')
    missing = []
    for path in SOURCES:
        text = path.read_text()
        if text.startswith('#!'):
            text = text.partition('\n')[2]
        # instructsam_ros/__init__.py must be empty, and nothing needs no licence.
        if text and not text.startswith(header):
            missing.append(name_of(path))
    assert missing == []


def test_licence_is_apache_2() -> None:
    text = (ROOT / 'LICENSE').read_text()
    assert 'Apache License' in text and 'Version 2.0, January 2004' in text
    assert 'END OF TERMS AND CONDITIONS' in text


def test_readme_commands_name_targets_that_exist() -> None:
    targets = set(re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    texts = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), ROOT / '.ci' / 'run']
    named = {target for path in texts
             for target in re.findall(r'(?:^|`)make ([a-z]+)', path.read_text(), re.MULTILINE)}
    assert {'demo', 'test', 'lint'} <= named <= targets
