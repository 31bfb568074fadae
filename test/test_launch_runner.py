# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processes side by side: their output, their ends, and how they are told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from instructsam_ros import cli
from instructsam_ros.commands import run
from instructsam_ros.launching.plan import Process
from instructsam_ros.launching.runner import Runner

ROOT = Path(__file__).resolve().parent.parent
# seconds for what takes a tenth on a quiet machine
PATIENCE = 30.0
# ends on SIGINT with code 0, as our nodes do
POLITE = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (print('goodbye', flush=True), sys.exit(0)))
print('ready', flush=True)
while True: time.sleep(0.05)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
while True: time.sleep(0.05)
"""


def process(name: str, code: str, **options: object) -> Process:
    command = (sys.executable, '-u', '-c', code)
    return Process(name, command, dict(os.environ), **options)  # type: ignore[arg-type]


class Session:
    """A runner in a thread, and what it shows."""

    def __init__(self, *processes: Process) -> None:
        self.lines: list[str] = []
        self.code: int | None = None
        self.runner = Runner(processes, self.lines.append)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.code = self.runner.run()

    def wait_for(self, line: str, count: int = 1) -> None:
        wait_until(lambda: self.lines.count(line) >= count, lambda: f'{line!r} in {self.lines}')

    def end(self) -> int:
        self._thread.join(PATIENCE)
        assert self.code is not None, self.lines
        return self.code

    def said(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]


def wait_until(condition: Callable[[], bool], explain: Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(0.01)


def test_lines_carry_names_and_all_are_shown() -> None:
    session = Session(
        process('a-1', "print('one'); print('two')"),
        process('b-2', "import sys; sys.stderr.write('error\\n'); "
                       "sys.stdout.buffer.write(b'\\xff')"))
    assert session.end() == 0
    assert [line for line in session.lines if line in ('[a-1] one', '[a-1] two')] == [
        '[a-1] one', '[a-1] two']
    assert '[b-2] error' in session.lines and '[b-2] \ufffd' in session.lines
    assert '[a-1] ended with exit code 0' in session.lines


def test_failure_of_one_is_reported_and_the_others_go_on() -> None:
    session = Session(process('bad-1', 'raise SystemExit(3)'), process('good-2', POLITE))
    session.wait_for('[bad-1] ended with exit code 3')
    session.wait_for('[good-2] ready')
    session.runner.stop()
    assert session.end() == 1
    assert '[good-2] goodbye' in session.lines


def test_stop_ends_all_politely() -> None:
    session = Session(process('a-1', POLITE), process('b-2', POLITE))
    for name in ('a-1', 'b-2'):
        session.wait_for(f'[{name}] ready')
    session.runner.stop()
    assert session.end() == 0
    assert {'[a-1] goodbye', '[b-2] goodbye'} <= set(session.lines)


def test_who_is_deaf_is_killed_after_the_steps_before() -> None:
    session = Session(process('deaf-1', DEAF, sigterm_after=0.2, sigkill_after=0.2))
    session.wait_for('[deaf-1] ready')
    session.runner.stop()
    assert session.end() == 1
    assert session.said('SIGTERM') and session.said('ended with exit code -9 (SIGKILL)')
    assert session.lines.index(session.said('SIGTERM')[0]) < session.lines.index(
        session.said('does not end: SIGKILL')[0])


def test_second_stop_does_not_wait() -> None:
    session = Session(process('deaf-1', DEAF, sigterm_after=600.0, sigkill_after=600.0))
    session.wait_for('[deaf-1] ready')
    for _ in range(3):
        session.runner.stop()
    assert session.end() == 1


def test_children_of_processes_end_too(tmp_path: Path) -> None:
    file = tmp_path / 'pid'
    code = (f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', "
            f"'import time; time.sleep(600)']); open({str(file)!r}, 'w').write(str(child.pid)); "
            "print('ready', flush=True); time.sleep(600)")
    session = Session(process('parent-1', code))
    session.wait_for('[parent-1] ready')
    session.runner.stop()
    session.end()
    child = int(file.read_text())

    def is_gone() -> bool:
        try:
            return ') Z ' in Path(f'/proc/{child}/stat').read_text()
        except FileNotFoundError:
            return True

    wait_until(is_gone, lambda: f'process {child} lives on')


def test_end_of_the_main_process_ends_all() -> None:
    session = Session(
        process('main-1', 'import time; time.sleep(0.3)', ends_all=True), process('b-2', POLITE))
    assert session.end() == 0
    assert session.said('ending all: main-1 has ended')


def test_respawn_counts() -> None:
    session = Session(process('again-1', 'raise SystemExit(4)', respawn=True, respawns=2))
    assert session.end() == 1
    assert len(session.said('ended with exit code 4')) == 3


def test_stop_ends_respawning() -> None:
    session = Session(
        process('again-1', 'raise SystemExit(4)', respawn=True, respawn_delay=600.0))
    session.wait_for('[again-1] ended with exit code 4')
    session.runner.stop()
    session.end()
    assert len(session.said('started')) == 1


def test_program_that_is_not_there() -> None:
    session = Session(Process('none-1', ('/no/such/program',), {}))
    assert session.end() == 1
    assert session.said('[none-1] cannot be started')


def test_lines_of_a_child_that_outlives_its_parent_do_not_block_the_end() -> None:
    code = ("import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
            "'import time; time.sleep(20)'])")
    began = time.monotonic()
    session = Session(process('parent-1', code))
    assert session.end() == 0
    assert time.monotonic() - began < 20


# ---- the command


def write(folder: Path, actions: str) -> Path:
    path = folder / 'a.launch.yaml'
    path.write_text('launch:\n' + actions)
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, '-m', 'instructsam_ros.cli', 'launch', *map(str, words)]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "model"}'}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_command_and_its_processes(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    program = tmp_path / 'polite.py'
    program.write_text(POLITE)
    path = write(tmp_path, f'- executable: {{cmd: {sys.executable} -u {program}, name: polite}}\n')
    running = subprocess.Popen(
        command(path), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line.rstrip())
        if lines[-1] == '[polite-1] ready':
            running.send_signal(number)
    assert running.wait(PATIENCE) == 0
    assert '[polite-1] goodbye' in lines and f'[launch] ending all: {number.name}' in lines


def test_show_args(tmp_path: Path, environment: dict[str, str]) -> None:
    path = write(tmp_path, '- arg: {name: image, default: /a, description: the topic}\n')
    result = subprocess.run(
        command(path, '--show-args'), env=environment, capture_output=True, text=True)
    assert result.returncode == 0
    assert 'image\n    the topic\n' in result.stdout and "default: '/a'" in result.stdout


def test_broken_file_is_one_line_and_exit_code_2(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    path = write(tmp_path, '- nod: {}\n')
    result = subprocess.run(command(path), env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith(f'instructsam-ros: error: {path}:2: nod')
    assert result.stderr.count('\n') == 1


# ---- `instructsam-ros run`


def test_run_refuses_a_node_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(['run', 'no_node', '--ros-args', '-p', 'a:=1']) == 2
    error = capsys.readouterr().err
    assert "no node 'no_node'" in error and 'perception_node' in error


def test_run_refuses_words_before_ros_args(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(['run', 'image:=/a']) == 2
    assert cli.main(['run', 'perception_node', 'image:=/a']) == 2
    assert '--ros-args' in capsys.readouterr().err


@pytest.mark.parametrize('word', ['-h', '--help'])
def test_run_helps(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert cli.main(['run', word]) == 0
    assert '--ros-args' in capsys.readouterr().out


def test_run_gives_all_words_to_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        given.append(arguments)
        return 7

    monkeypatch.setattr(run.importlib, 'import_module', lambda name: SimpleNamespace(main=main))
    monkeypatch.setattr(sys, 'argv', [])
    words = ['--ros-args', '-r', 'image:=/cam', '--log-level', 'debug']
    assert cli.main(['run', *words]) == 7
    assert cli.main(['run', 'tabletop_camera_node', *words]) == 7
    assert [one[1:] for one in given] == [words, words]
