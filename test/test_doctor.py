# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor: what it finds on good machines and on broken ones, and what it says to do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from instructsam_ros import cli
from instructsam_ros.doctor import machine, wire
from instructsam_ros.doctor.finding import FAIL, OK, WARN, Finding, document, examine

ROOT = Path(__file__).resolve().parent.parent


def only(findings: object) -> Finding:
    (one,) = list(findings)  # type: ignore[call-overload]
    return one


def test_check_that_breaks_is_a_finding() -> None:
    def broken() -> object:
        raise KeyError('nothing')

    checks = [('a', broken), ('b', lambda: iter([Finding('b', OK, 'well')]))]
    findings = list(examine(checks))  # type: ignore[arg-type]
    assert [one.status for one in findings] == [FAIL, OK]
    assert findings[0].subject == 'a' and "KeyError: 'nothing'" in findings[0].detail
    assert document(findings)['ok'] is False
    assert document(findings[1:])['ok'] is True


def test_this_machine_is_fit() -> None:
    for check in (machine.python, machine.package, machine.libraries, machine.torch, wire.messages):
        for one in check():
            assert one.status == OK or (check is machine.torch and one.status == WARN), one


@pytest.mark.parametrize(('message', 'mend'), [
    ('libGL.so.1: cannot open shared object file', 'opencv-python-headless'),
    ('numpy.core.multiarray failed to import', 'NumPy differs'),
    ('no module', 'pip install opencv-python-headless'),
])
def test_library_that_does_not_import(
    monkeypatch: pytest.MonkeyPatch, message: str, mend: str
) -> None:
    real = machine.importlib.import_module

    def broken(name: str) -> object:
        if name == 'cv2':
            raise ImportError(message)
        return real(name)

    monkeypatch.setattr(machine.importlib, 'import_module', broken)
    findings = {one.subject: one for one in machine.libraries()}
    assert findings['cv2'].status == FAIL and mend in findings['cv2'].mend
    assert findings['libraries'].status == OK and 'cv2' not in findings['libraries'].detail


def test_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=10**9))
    one = only(machine.disk())
    assert one.status == WARN and 'HF_HOME' in one.mend


@pytest.mark.parametrize(('cuda', 'mend'), [('12.8', 'driver'), (None, 'torch with CUDA')])
def test_gpu_that_torch_does_not_reach(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, mend: str
) -> None:
    fake = SimpleNamespace(
        __version__='2.13', get_num_threads=lambda: 2, version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setattr(machine.importlib, 'import_module', lambda name: fake)
    monkeypatch.setattr(machine.shutil, 'which', lambda name: '/usr/bin/nvidia-smi')
    one = only(machine.torch())
    assert one.status == WARN and mend in one.mend


def test_gpu_that_fails_in_use_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def ones(*args: object, **options: object) -> object:
        raise RuntimeError('no kernel image is available')

    fake = SimpleNamespace(
        __version__='2.13', get_num_threads=lambda: 2, ones=ones,
        cuda=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setattr(machine.importlib, 'import_module', lambda name: fake)
    one = only(machine.torch())
    assert one.status == WARN and 'no kernel image' in one.detail and 'cpu' in one.mend


def test_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    one = only(machine.checkpoint(str(tmp_path / 'none'), 'cpu'))
    assert one.status == FAIL and 'none' in one.subject and 'config.json' in one.mend


@pytest.mark.parametrize(('value', 'status'), [
    ('', OK), ('0', OK), ('101', OK), ('232', OK), ('233', FAIL), ('-1', FAIL), ('one', FAIL),
])
def test_domain(monkeypatch: pytest.MonkeyPatch, value: str, status: str) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', value)
    found = {one.subject: one for one in wire.environment()}
    assert found['ROS_DOMAIN_ID'].status == status
    assert bool(found['ROS_DOMAIN_ID'].mend) is (status == FAIL)


def test_other_middleware_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp')
    found = {one.subject: one for one in wire.environment()}
    assert found['RMW_IMPLEMENTATION'].status == WARN
    assert 'rmw_cyclonedds_cpp' in found['RMW_IMPLEMENTATION'].mend


def test_discovery_that_stays_on_this_machine_is_a_warning(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('CYCLONEDDS_URI', raising=False)
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    found = {one.subject: one for one in wire.environment()}
    assert found['discovery'].status == WARN and 'unset' in found['discovery'].mend
    monkeypatch.delenv('ROS_AUTOMATIC_DISCOVERY_RANGE')
    assert 'discovery' not in {one.subject for one in wire.environment()}


def test_network_without_multicast_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(socket.socket):
        def setsockopt(self, *args: object) -> None:
            raise OSError(19, 'No such device')

    monkeypatch.setattr(wire.socket, 'socket', Deaf)
    one = only(wire.multicast())
    assert one.status == WARN and 'No such device' in one.detail and 'docker' in one.mend


def test_sample_from_another_process_arrives(ros_domain: int) -> None:
    one = only(wire.sample())
    assert one.status == OK, one


def test_sample_that_does_not_arrive(
    ros_domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the other process is in another domain: as good as a firewall
    monkeypatch.setattr(wire, '_environment', lambda: {
        **os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "model"}',
        'ROS_DOMAIN_ID': str(ros_domain % 100 + 1)})
    monkeypatch.setattr(wire, '_PATIENCE', 3.0)
    one = only(wire.sample())
    assert one.status == FAIL and 'no message' in one.detail and 'CYCLONEDDS_URI' in one.mend


def test_command_prints_json_and_tells_failure_by_its_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '5')
    assert cli.main(['doctor', '--quick', '--json']) == 0
    good = json.loads(capsys.readouterr().out)
    assert good['schema'] == 'instructsam_ros/doctor/1' and good['ok'] is True
    subjects = [one['subject'] for one in good['findings']]
    assert {'Python', 'torch', 'ROS 2', 'messages', 'multicast'} <= set(subjects)
    monkeypatch.setenv('ROS_DOMAIN_ID', 'five')
    assert cli.main(['doctor', '--quick', '--json']) == 1
    assert json.loads(capsys.readouterr().out)['ok'] is False


def test_command_prints_lines_with_their_mends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', 'five')
    assert cli.main(['doctor', '--quick']) == 1
    text = capsys.readouterr().out
    assert "fail  ROS_DOMAIN_ID: is 'five'\n      -> set a whole number" in text
    assert '1 of ' in text and 'need mending' in text


def test_client_is_told_apart_in_a_process_of_its_own() -> None:
    # this process has the embedded client on its path already, maybe
    code = 'from instructsam_ros.doctor import wire; print(*wire.client(), sep="\\n")'
    environment = {**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "model"}'}
    result = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True)
    if 'ROS_DISTRO' in os.environ:
        assert 'its rclpy is used' in result.stdout
    else:
        assert 'the embedded client is used' in result.stdout
        assert "subject='cyclonedds', status='ok'" in result.stdout
