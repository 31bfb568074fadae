# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The graph, the beginning and the end of the embedded client's part in the network."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from dds_partner import (
    PATIENCE,
    Partner,
    String,
    reader_of,
    text,
    wait_for,
    writer_of,
)

from instructsam_ros.embedded.dds.domain import configuration
from instructsam_ros.embedded.dds.graph import UNKNOWN_NODE
from instructsam_ros.embedded.dds.native import DdsError
from instructsam_ros.embedded.dds.participant import Participant
from instructsam_ros.embedded.dds.qos import Qos
from instructsam_ros.embedded.interfaces import (
    message_class,
    type_hash,
)


def test_the_graph_knows_nodes_and_endpoints_of_all_processes(
        ros_domain: int, partner: Callable[[str], Partner]) -> None:
    changed = threading.Event()
    participant = Participant(on_graph_change=changed.set)
    other = partner("""
        qos = Qos('best_effort', depth=7, deadline_ns=5_000_000_000, lifespan_ns=10**9)
        writer = participant.create_writer('rt/a', *described(String), qos)
        reader = participant.create_reader('rt/b', *described(Image), Qos(), lambda: None)
        lost = participant.create_reader('rt/c', *described(Image), Qos(), lambda: None)
        participant.announce('talker', '/far', [reader.gid], [writer.gid])
        participant.announce('second', '/', [], [])
        participant.withdraw('second', '/')
        participant.announce('third', '/', [], [])
        say(writer.gid.hex())
    """)
    own = reader_of(participant, 'rt/a', String)
    participant.announce('listener', '/', [own.gid], [])
    nodes = [('listener', '/'), ('talker', '/far'), ('third', '/')]
    graph = participant.graph

    def wait_for_change(condition: Callable[[], object]) -> None:
        # as waiting clients do: look again only when told of a change
        while True:
            changed.clear()
            if condition():
                return
            assert changed.wait(PATIENCE), f'no change was told; nodes: {graph.nodes()}'

    wait_for_change(lambda: graph.nodes() == nodes and graph.readers('rt/c'))
    wait_for(lambda: other.lines)
    writer, = graph.writers('rt/a')
    assert (writer.node_name, writer.node_namespace) == ('talker', '/far')
    assert writer.gid.hex() == other.lines[0] and len(writer.gid) == 16
    assert writer.type_name == 'std_msgs::msg::dds_::String_'
    assert writer.type_hash == type_hash(String)
    assert (writer.qos.reliability, writer.qos.deadline_ns, writer.qos.lifespan_ns) == (
        'best_effort', 5_000_000_000, 10 ** 9)
    assert writer.participant_gid != participant.gid
    reader, = graph.readers('rt/a')
    assert (reader.node_name, reader.gid, reader.qos) == ('listener', own.gid, own.qos)
    lost, = graph.readers('rt/c')
    assert (lost.node_name, lost.node_namespace) == UNKNOWN_NODE
    assert {info.topic for info in graph.readers()} == {
        'rt/a', 'rt/b', 'rt/c', 'ros_discovery_info'}
    other.end()
    wait_for_change(lambda: graph.nodes() == [('listener', '/')] and not graph.writers('rt/a'))
    participant.close()


def test_a_node_that_left_before_it_was_looked_at_is_not_in_the_graph(ros_domain: int) -> None:
    looked, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        looked.set()
        go_on.wait(PATIENCE)

    # its DDS thread stands still while a node comes and goes, then sees all of it at once
    participant = Participant(on_graph_change=hold)
    try:
        assert looked.wait(PATIENCE)
        stranger = Participant()
        stranger.announce('ghost', '/', [], [])
        wait_for(lambda: any(info.participant_gid == participant.gid for info in
                             stranger.graph.readers('ros_discovery_info')), 'discovery')
        time.sleep(0.2)
        stranger.close()
        time.sleep(0.2)
        go_on.set()
        wait_for(lambda: not participant.graph.writers('ros_discovery_info')[1:])
        assert participant.graph.nodes() == []
    finally:
        go_on.set()
        participant.close()


def test_own_endpoints_are_in_the_graph_at_once(participant: Participant) -> None:
    for index in range(20):
        writer = writer_of(participant, f'rt/topic{index}', String)
        participant.announce('node', '/ns', [], [writer.gid])
        info, = participant.graph.writers(f'rt/topic{index}')
        assert (info.node_name, info.gid) == ('node', writer.gid)
        writer.close()
        assert participant.graph.writers(f'rt/topic{index}') == []
    participant.withdraw('node', '/ns')
    assert participant.graph.nodes() == []


def test_a_killed_process_leaves_the_graph(
        ros_domain: int, partner: Callable[[str], Partner],
        monkeypatch: pytest.MonkeyPatch) -> None:
    # DDS gives a silent participant ten seconds; two are enough to see it
    monkeypatch.setenv('CYCLONEDDS_URI', os.environ['CYCLONEDDS_URI'] + (
        ',<CycloneDDS><Domain><Discovery><LeaseDuration>2s</LeaseDuration></Discovery></Domain>'
        '</CycloneDDS>'))
    participant = Participant()
    try:
        other = partner("participant.announce('victim', '/', [], [])")
        wait_for(lambda: participant.graph.nodes() == [('victim', '/')], 'the partner')
        other.kill()
        wait_for(lambda: participant.graph.nodes() == [], 'the end of the lease')
    finally:
        participant.close()


def test_an_announcement_that_is_not_understood_is_ignored(participant: Participant) -> None:
    stranger = Participant()
    try:
        info = message_class('rmw_dds_common/msg/ParticipantEntitiesInfo')
        writer = writer_of(stranger, 'ros_discovery_info', info,
                           Qos(durability='transient_local', depth=1))
        writer.write(b'\0\1\0\0' + bytes([255] * 24))
        stranger.announce('fine', '/', [], [])
        wait_for(lambda: participant.graph.nodes() == [('fine', '/')])
    finally:
        stranger.close()


def test_closing_is_complete_and_can_be_repeated(ros_domain: int) -> None:
    def threads() -> int:
        return len(os.listdir('/proc/self/task'))

    begin = threads()
    for _ in range(5):
        participant = Participant()
        writer = writer_of(participant, 'rt/a', String)
        reader = reader_of(participant, 'rt/a', String)
        writer.write(text('a'))
        participant.close()
        participant.close()
        assert reader.take() == [] and writer.matched() == 0 and reader.matched() == 0
        reader.close()
        for use in (lambda writer=writer: writer.write(text('b')), writer.assert_liveliness,
                    lambda one=participant: writer_of(one, 'rt/b', String)):
            with pytest.raises(DdsError, match='closed'):
                use()
        participant.announce('late', '/', [], [])
    wait_for(lambda: threads() <= begin, 'the threads to end')


def test_a_callback_may_close_everything(ros_domain: int) -> None:
    participant = Participant()
    closed = threading.Event()

    def close() -> None:
        participant.close()
        closed.set()

    reader_of(participant, 'rt/a', String, on_data=close)
    writer_of(participant, 'rt/a', String).write(text('a'))
    assert closed.wait(PATIENCE)


def test_a_failing_callback_is_logged_and_the_next_one_called(
        participant: Participant, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise RuntimeError('on purpose')

    reader_of(participant, 'rt/a', String, on_data=fail)
    writer = writer_of(participant, 'rt/a', String)
    for count in (1, 2):
        writer.write(text('a'))
        wait_for(lambda count=count: len(calls) == count)
    wait_for(lambda: caplog.messages.count('DDS: a callback failed') == 2)
    assert 'on purpose' in caplog.text


def test_a_process_ends_at_once_although_it_closed_nothing(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    other = partner("""
        kept = listen('rt/a', String, Qos(), lambda message: None, on_event=print)
        writer = participant.create_writer('rt/b', *described(String), Qos())
        wake = threading.Event()
        server = ServiceServer(participant, '/types', Types, Qos(), wake.set)
        participant.announce('node', '/', [], [])
        say('ready')
    """)
    writer = writer_of(participant, 'rt/a', String)
    wait_for(writer.matched, 'the partner')
    running = True

    def flood() -> None:
        while running:
            writer.write(text('x' * 10000))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        # data keep coming while its interpreter ends
        assert 'Traceback' not in other.end()
    finally:
        running = False
        thread.join()
    wait_for(lambda: participant.graph.nodes() == [], 'its node to go')


def test_waiting_costs_nothing(participant: Participant) -> None:
    reader = reader_of(participant, 'rt/a', String)
    writer_of(participant, 'rt/a', String).write(text('never taken'))
    wait_for(reader.matched)
    time.sleep(0.2)
    begin = time.process_time()
    time.sleep(1)
    # Cyclone's own threads send heartbeats; a loop that spins would use the whole second
    assert time.process_time() - begin < 0.1


def settings_of(environment: dict[str, str]) -> dict[str, list[str]]:
    """The configuration as {path: [texts and attributes]}."""
    found: dict[str, list[str]] = {}

    def walk(element: ElementTree.Element, path: str) -> None:
        for child in element:
            name = f'{path}/{child.tag}'.strip('/')
            found.setdefault(name, []).extend(
                [*filter(None, [(child.text or '').strip()]), *child.attrib.values()])
            walk(child, name)

    own = configuration(environment).partition('</CycloneDDS>')[0] + '</CycloneDDS>'
    walk(ElementTree.fromstring(own), '')
    return {path.removeprefix('Domain/'): values for path, values in found.items()}


def test_ros_variables_choose_the_network() -> None:
    plain = settings_of({})
    assert plain['General/MaxMessageSize'] == ['65500B']
    assert not any('Peer' in path or 'Multicast' in path for path in plain)
    local = settings_of({'ROS_LOCALHOST_ONLY': '1'})
    assert local == settings_of({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'localhost'})
    assert local['General/AllowMulticast'] == ['false']
    assert local['Discovery/Peers/Peer'] == ['localhost']
    peers = settings_of({'ROS_STATIC_PEERS': '10.0.0.1; robot.local;'})
    assert peers['Discovery/Peers/Peer'] == ['10.0.0.1', 'robot.local']
    assert 'General/AllowMulticast' not in peers
    off = settings_of({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF', 'ROS_STATIC_PEERS': '10.0.0.1'})
    assert off['Discovery/Tag'] == [f'ros_discovery_off_{os.getpid()}']
    assert 'Discovery/Peers/Peer' not in off
    assert settings_of({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT',
                        'ROS_STATIC_PEERS': '10.0.0.1'}) == plain
    own = '<CycloneDDS/>'
    assert configuration({'CYCLONEDDS_URI': own}).endswith(f',{own}')


@pytest.mark.parametrize(('name', 'value'), [
    ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'EVERYWHERE'), ('ROS_LOCALHOST_ONLY', 'yes'),
    ('ROS_DOMAIN_ID', 'x'), ('ROS_DOMAIN_ID', '233'), ('ROS_DOMAIN_ID', '-1')])
def test_a_wrong_variable_is_named(
        ros_domain: int, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f'{name} is .*must be'):
        Participant()


def test_a_configuration_that_cyclone_refuses_is_named(
        ros_domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CYCLONEDDS_URI', '<CycloneDDS><Nonsense/></CycloneDDS>')
    with pytest.raises(DdsError, match='is CYCLONEDDS_URI right.*Nonsense'):
        Participant()
    monkeypatch.setenv('CYCLONEDDS_URI', '<CycloneDDS><Domain><General><Interfaces>'
                       '<NetworkInterface name="no_such0"/></Interfaces></General></Domain>'
                       '</CycloneDDS>')
    with pytest.raises(DdsError, match='CYCLONEDDS_URI'):
        Participant()


def test_domains_are_apart_and_can_be_chosen(ros_domain: int) -> None:
    one, other = Participant(), Participant(ros_domain + 1)
    try:
        assert (one.domain_id, other.domain_id) == (ros_domain, ros_domain + 1)
        writer = writer_of(one, 'rt/a', String)
        reader_of(other, 'rt/a', String)
        reader_of(one, 'rt/a', String)
        wait_for(writer.matched)
        time.sleep(0.1)
        assert writer.matched() == 1
        with pytest.raises(ValueError, match='0 to 232'):
            Participant(500)
    finally:
        one.close()
        other.close()
