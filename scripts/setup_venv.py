# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Make or bring up to date the virtual environment that the Makefile uses.

Standard library only, and a syntax that old Python 3 versions can read up to the check of the
version: it is run by whatever `python3` a machine has. Environment variables:

TORCH        what to install as torch, as pip takes it: a requirement, a wheel file or an address
TORCH_INDEX  package index to look in for torch besides pip's own; "none" for pip's own alone
"""

import argparse
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from typing import Dict, List, Optional

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 10)
TESTED_TORCH = 'torch==2.13.*'
# PyPI's torch for x86-64 Linux carries CUDA: some GB that a machine without a GPU never uses.
CPU_INDEX = 'https://download.pytorch.org/whl/cpu'


def say(text: str) -> None:
    """Print one line of progress, in order with pip's output."""
    print(f'[setup] {text}', flush=True)


def run(command: List[str], environment: Optional[Dict[str, str]] = None) -> None:
    """Run a command; end the script with its name if it fails."""
    try:
        subprocess.run(command, check=True, env=environment)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f'[setup] failed: {" ".join(command)}\n        {error}')


def create_environment(folder: str) -> str:
    """Return the Python of the environment at `folder`, which is made if it does not work."""
    python = os.path.join(folder, 'bin', 'python')
    if works(python):
        return python
    say(f'making {folder} with Python {platform.python_version()}')
    shutil.rmtree(folder, ignore_errors=True)  # the rest of an attempt that failed
    if can_make_environments() or install_venv_with_apt():
        run([sys.executable, '-m', 'venv', folder])
    else:
        make_with_virtualenv(folder)
    return python


def works(python: str) -> bool:
    """Return whether this is a Python with a working pip."""
    command = [python, '-m', 'pip', '--version']
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def can_make_environments() -> bool:
    """Return whether `python -m venv` will work: Debian keeps ensurepip in a package of its own."""
    command = [sys.executable, '-c', 'import ensurepip, venv']
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def venv_package() -> str:
    """Return the name of Debian's package that makes `python -m venv` work."""
    return 'python{}.{}-venv'.format(*sys.version_info)


def install_venv_with_apt() -> bool:
    """Install python3.x-venv where that needs no password; return whether it is there now."""
    apt = shutil.which('apt-get')
    if apt is None or os.geteuid() != 0 or not sys.executable.startswith('/usr/bin/'):
        return False
    package = venv_package()
    say(f'installing {package} with apt-get')
    environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    for command in (['update'], ['install', '-y', '--no-install-recommends', package]):
        if subprocess.run([apt, '-q', *command], env=environment).returncode != 0:
            return False
    return can_make_environments()


def make_with_virtualenv(folder: str) -> None:
    """Make the environment with virtualenv: the one installed, else one borrowed through pip."""
    if importlib.util.find_spec('virtualenv') is not None:
        run([sys.executable, '-m', 'virtualenv', '-q', folder])
        return
    if importlib.util.find_spec('pip') is None:
        sys.exit(
            '[setup] this Python can make no virtual environments; install the missing part with\n'
            f'            sudo apt-get install {venv_package()}\n'
            '        and run make again.')
    with tempfile.TemporaryDirectory() as borrowed:
        say('python3-venv is missing: borrowing virtualenv through pip')
        run([sys.executable, '-m', 'pip', 'install', '-q', '--target', borrowed, 'virtualenv'])
        run([sys.executable, '-m', 'virtualenv', '-q', folder],
            dict(os.environ, PYTHONPATH=borrowed))


def install_torch(python: str, requirement: str, index: str) -> None:
    """Install torch: what was asked for, else keep what is there, else the tested version."""
    if not requirement:
        if torch_version(python):
            return
        requirement = TESTED_TORCH
    if not index and not has_nvidia_gpu() and platform.system() == 'Linux':
        if reachable(CPU_INDEX + '/torch/'):
            index = CPU_INDEX
        else:
            say(f'no GPU found, but {CPU_INDEX} cannot be reached: taking torch from the usual '
                'index of pip, which may mean some GB of CUDA libraries')
    extra = [] if index in ('', 'none') else ['--extra-index-url', index]
    say(f'installing {" ".join([requirement, *extra])}')
    run([python, '-m', 'pip', 'install', '--no-input', requirement, *extra])


def torch_version(python: str) -> str:
    """Return the version of torch in the environment, empty where there is none."""
    code = 'import importlib.metadata as m; print(m.version("torch"))'
    result = subprocess.run([python, '-c', code], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    return result.stdout.decode().strip() if result.returncode == 0 else ''


def has_nvidia_gpu() -> bool:
    """Return whether the NVIDIA driver lists a GPU."""
    tool = shutil.which('nvidia-smi')
    if tool is None:
        return False
    result = subprocess.run([tool, '-L'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return result.returncode == 0 and b'GPU' in result.stdout


def reachable(url: str) -> bool:
    """Return whether the address answers within seconds; pip alone would retry for a minute."""
    try:
        request = urllib.request.Request(url, method='HEAD')
        with urllib.request.urlopen(request, timeout=8) as answer:
            return bool(answer.status < 400)
    except (OSError, ValueError):
        return False


def install_project(python: str, extras: str) -> None:
    """Install the checkout in place, without touching the torch that is there."""
    with tempfile.TemporaryDirectory() as folder:
        torch = os.path.join(folder, 'torch.txt')
        with open(torch, 'w') as file:
            file.write(f'torch=={torch_version(python)}\n')
        target = f'{ROOT}[{extras}]' if extras else ROOT
        say(f'installing {target}')
        run([python, '-m', 'pip', 'install', '-q', '--no-input', '-e', target, '-c', torch,
             '-c', os.path.join(ROOT, 'constraints.txt')])


def main() -> None:
    """Read the command line and set up the environment."""
    parser = argparse.ArgumentParser(description='Set up the environment that make uses.')
    parser.add_argument('folder', help='the virtual environment, for example .venv')
    parser.add_argument('--extras', default='', help='extras to install, for example dev')
    arguments = parser.parse_args()
    if sys.version_info[:2] < OLDEST:
        sys.exit(f'[setup] Python 3.10 or newer is needed, this is {platform.python_version()}. '
                 'Name another with make PYTHON=python3.12 ...')
    python = create_environment(os.path.abspath(arguments.folder))
    install_torch(python, os.environ.get('TORCH', ''), os.environ.get('TORCH_INDEX', ''))
    install_project(python, arguments.extras)
    say(f'ready: torch {torch_version(python)}')


if __name__ == '__main__':
    main()
