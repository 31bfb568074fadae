# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples and quality of service of the embedded client, between real processes."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable

import pytest
from dds_partner import (
    PATIENCE,
    Image,
    Partner,
    String,
    reader_of,
    text,
    texts,
    wait_for,
    writer_of,
)

from instructsam_ros.embedded.dds.endpoint import Event
from instructsam_ros.embedded.dds.native import DdsError
from instructsam_ros.embedded.dds.participant import Participant
from instructsam_ros.embedded.dds.qos import Qos, incompatible
from instructsam_ros.embedded.interfaces import (
    deserialize,
    serialize,
)


def test_samples_pass_between_processes_both_ways(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    partner("""
        pong = participant.create_writer('rt/pong', *described(String), Qos())
        listen('rt/ping', String, Qos(), lambda message: pong.write(serialize(
            String(data=message.data.upper()))))
    """)
    called = threading.Event()
    ping = writer_of(participant, 'rt/ping', String)
    pong = reader_of(participant, 'rt/pong', String, on_data=called.set)
    wait_for(lambda: ping.matched() and pong.matched(), 'the partner')
    before = time.time_ns()
    for words in ('a', 'grüße', '', 'x' * 1000):
        called.clear()
        ping.write(text(words))
        assert called.wait(PATIENCE), 'on_data was not called'
        sample, = pong.take(10)
        assert deserialize(sample.data, String).data == words.upper()
        assert before <= sample.source_timestamp_ns <= sample.received_timestamp_ns
        assert sample.received_timestamp_ns <= time.time_ns()
        writer, = participant.graph.writers('rt/pong')
        assert sample.writer_gid == writer.gid
    assert pong.take() == []


def test_a_sample_arrives_within_a_process_too(participant: Participant) -> None:
    called = threading.Event()
    reader = reader_of(participant, 'rt/a', String, on_data=called.set)
    writer = writer_of(participant, 'rt/a', String)
    writer.write(bytearray(text('hello')))
    writer.write(memoryview(text('hello you')))
    assert called.wait(PATIENCE)
    assert texts(reader) == ['hello', 'hello you']
    assert (writer.matched(), reader.matched()) == (1, 1)
    with pytest.raises(ValueError, match='at least 4 bytes'):
        writer.write(b'')


def test_a_picture_of_25_megabytes_arrives(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    other = partner("""
        import zlib
        listen('rt/image', Image, Qos(depth=2), lambda message: say(
            message.height, len(message.data), zlib.crc32(message.data)))
        say('ready')
    """)
    writer = writer_of(participant, 'rt/image', Image, Qos(depth=2))
    wait_for(writer.matched, 'the partner')
    import zlib
    data = os.urandom(2160 * 3840 * 3)
    writer.write(serialize(Image(height=2160, width=3840, data=data)))
    expected = f'2160 {len(data)} {zlib.crc32(data)}'
    wait_for(lambda: expected in other.lines, 'the picture')
    assert writer.wait_for_acks(PATIENCE)


def test_memory_stays_flat(participant: Participant, partner: Callable[[str], Partner]) -> None:
    other = partner("""
        import resource
        count = 0
        def hear(message):
            global count
            count += 1
            say(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        listen('rt/image', Image, Qos(depth=3), hear)
    """)
    writer = writer_of(participant, 'rt/image', Image, Qos(depth=3))
    wait_for(writer.matched, 'the partner')
    data = serialize(Image(height=720, width=1280, data=bytes(720 * 1280 * 3)))

    def send(count: int) -> None:
        for _ in range(count):
            seen = len(other.lines)
            writer.write(data)
            wait_for(lambda seen=seen: len(other.lines) > seen, 'a picture')

    def used() -> tuple[int, int]:
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                int(other.lines[-1].split()[1]))

    send(20)
    begin = used()
    send(150)
    # 400 MB went through; the peak may rise a little when pictures queue up by chance
    for first, last in zip(begin, used(), strict=True):
        assert last - first < 40, f'{first} MB became {last} MB'


def test_late_readers_get_what_a_transient_local_writer_has_kept(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    latched = Qos(durability='transient_local', depth=2)
    writer = writer_of(participant, 'rt/latched', String, latched)
    for words in ('one', 'two', 'three'):
        writer.write(text(words))
    kept = partner("""
        listen('rt/latched', String, Qos(durability='transient_local', depth=5),
               lambda message: say(message.data))
    """)
    fresh = partner("listen('rt/latched', String, Qos(), lambda message: say(message.data))")
    wait_for(lambda: len(kept.lines) >= 2 and writer.matched() == 2, 'the kept samples')
    writer.write(text('four'))
    wait_for(lambda: 'four' in kept.lines and 'four' in fresh.lines, 'the new sample')
    assert kept.lines == ['two', 'three', 'four'] and fresh.lines == ['four']
    # within the process as well
    late = reader_of(participant, 'rt/latched', String, latched)
    wait_for(late.matched)
    assert texts(late) == ['three', 'four']


def test_a_writer_that_leaves_is_no_sample(participant: Participant) -> None:
    reader = reader_of(participant, 'rt/a', String)
    writer = writer_of(participant, 'rt/a', String)
    writer.write(text('last words'))
    writer.dispose()
    wait_for(lambda: reader.matched() == 0)
    assert texts(reader) == ['last words']
    assert reader.take() == []


def test_types_must_agree(participant: Participant, partner: Callable[[str], Partner]) -> None:
    other = partner("""
        reader = participant.create_reader('rt/a', *described(Image), Qos(), lambda: say('heard'))
        right = participant.create_reader('rt/a', *described(String), Qos(), lambda: say('right'))
    """)
    writer = writer_of(participant, 'rt/a', String)
    wait_for(lambda: len(participant.graph.readers('rt/a')) == 2, 'the partner')
    wait_for(writer.matched)
    writer.write(text('a'))
    wait_for(lambda: other.lines)
    assert other.lines == ['right'] and writer.matched() == 1


def test_a_writer_that_waits_stops_nobody_else(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    other = partner("""
        listen('rt/image', Image, Qos(history='keep_all'), lambda message: None)
    """)
    everything = Qos(history='keep_all')
    writer = writer_of(participant, 'rt/image', Image, everything)
    wait_for(writer.matched, 'the partner')
    os.kill(other.process.pid, signal.SIGSTOP)
    data = serialize(Image(data=bytes(1 << 20)))
    sent = 0

    def send() -> None:
        nonlocal sent
        for _ in range(50):
            writer.write(data)
            sent += 1

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    heard = threading.Event()
    local = reader_of(participant, 'rt/local', String, on_data=heard.set)
    wait_for(lambda: sent > 0)
    time.sleep(0.3)
    # the partner confirms nothing, so the writer waits; this thread and the DDS thread go on
    held = sent
    assert held < 50
    writer_of(participant, 'rt/local', String).write(text('here'))
    assert heard.wait(PATIENCE) and texts(local) == ['here']
    os.kill(other.process.pid, signal.SIGCONT)
    thread.join(PATIENCE)
    assert sent == 50 and writer.wait_for_acks(PATIENCE)


def test_closing_frees_a_writer_that_waits(
        ros_domain: int, partner: Callable[[str], Partner]) -> None:
    other = partner("listen('rt/image', Image, Qos(history='keep_all'), lambda message: None)")
    participant = Participant()
    writer = writer_of(participant, 'rt/image', Image, Qos(history='keep_all'))
    wait_for(writer.matched, 'the partner')
    os.kill(other.process.pid, signal.SIGSTOP)
    ended: list[Exception] = []

    def send() -> None:
        try:
            while True:
                writer.write(serialize(Image(data=bytes(1 << 20))))
        except DdsError as error:
            ended.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    time.sleep(0.5)
    begin = time.monotonic()
    participant.close()
    thread.join(PATIENCE)
    assert ended and 'rt/image' in str(ended[0])
    # Cyclone itself would wait until the partner's lease of 10 s runs out
    assert time.monotonic() - begin < 7


def test_an_incompatible_partner_is_told_by_policy(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    other = partner("""
        listen('rt/a', String, Qos(), lambda message: say('heard'),
               on_event=lambda event: say(event.kind, event.total, event.last_policy))
        writer = participant.create_writer('rt/b', *described(String), Qos())
    """)
    events: list[Event] = []
    writer = writer_of(participant, 'rt/a', String, Qos('best_effort'), events.append)
    reader_of(participant, 'rt/b', String, Qos(durability='transient_local'),
              on_event=events.append)
    wait_for(lambda: len(events) == 2 and other.lines, 'the events')
    assert {(event.kind, event.total, event.change, event.last_policy) for event in events} == {
        ('incompatible_qos', 1, 1, 'reliability'), ('incompatible_qos', 1, 1, 'durability')}
    assert other.lines == ['incompatible_qos 1 reliability']
    assert writer.matched() == 0


def test_matches_deadlines_and_liveliness_are_told(participant: Participant) -> None:
    events: list[Event] = []
    fast = Qos(deadline_ns=100_000_000, liveliness='manual_by_topic', lease_ns=200_000_000)
    reader = reader_of(participant, 'rt/a', String, fast, on_event=events.append)
    writer = writer_of(participant, 'rt/a', String, fast, events.append)

    def kinds() -> set[str]:
        return {event.kind for event in events}

    wait_for(lambda: 'matched' in kinds())
    writer.write(text('a'))
    wait_for(lambda: {'deadline_missed', 'liveliness'} <= kinds(), 'the events')
    wait_for(lambda: any(event.kind == 'liveliness' and event.total for event in events),
             'the lease to run out')
    alive = len(events)
    writer.write(text('b'))
    wait_for(lambda: any(event.kind == 'liveliness' and event.current == 1
                         for event in events[alive:]), 'the writer to be alive again')
    writer.close()
    wait_for(lambda: any(event.kind == 'matched' and event.current == 0 and
                         event.current_change == -1 for event in events), 'the end of the match')
    assert reader.matched() == 0


@pytest.mark.parametrize(('offered', 'requested', 'names'), [
    (Qos(), Qos(), []),
    (Qos(), Qos('best_effort'), []),
    (Qos('best_effort'), Qos(), ['reliability']),
    (Qos(), Qos(durability='transient_local'), ['durability']),
    (Qos(durability='transient_local'), Qos(), []),
    (Qos(), Qos(deadline_ns=1), ['deadline']),
    (Qos(deadline_ns=2), Qos(deadline_ns=1), ['deadline']),
    (Qos(deadline_ns=1), Qos(), []),
    (Qos(), Qos(liveliness='manual_by_topic'), ['liveliness']),
    (Qos(), Qos(lease_ns=1), ['liveliness']),
    (Qos('best_effort'), Qos(durability='transient_local', deadline_ns=3),
     ['reliability', 'durability', 'deadline']),
])
def test_incompatible_names_what_cyclone_refuses(
        participant: Participant, offered: Qos, requested: Qos, names: list[str]) -> None:
    assert incompatible(offered, requested) == names
    told: list[Event] = []
    writer = writer_of(participant, 'rt/a', String, offered)
    reader_of(participant, 'rt/a', String, requested, on_event=told.append)
    if names:
        wait_for(lambda: told)
        assert told[0].last_policy in names and not writer.matched()
    else:
        wait_for(writer.matched)


def test_a_wrong_qos_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match='best_effort, reliable'):
        Qos('fast')
    with pytest.raises(ValueError, match='depth of at least 1'):
        Qos(depth=0)
