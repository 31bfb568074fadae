# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Services of the embedded client, between real processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from dds_partner import (
    PATIENCE,
    Partner,
    Types,
    wait_for,
    writer_of,
)

from instructsam_ros.embedded.dds.native import DdsError
from instructsam_ros.embedded.dds.participant import Participant
from instructsam_ros.embedded.dds.qos import Qos
from instructsam_ros.embedded.dds.services import RequestId, ServiceClient, ServiceServer

SERVICE_QOS = Qos(depth=100)


def serve(participant: Participant, name: str = '/types') -> ServiceServer:
    """A service that answers with the lengths of the names, from the DDS thread's wake-ups."""
    wake = threading.Event()
    server = ServiceServer(participant, name, Types, SERVICE_QOS, wake.set)

    def work() -> None:
        try:
            while wake.wait(PATIENCE):
                wake.clear()
                while (taken := server.take()) is not None:
                    request, request_id = taken
                    server.send(request_id, Types.Response(
                        types=[len(one) for one in request.names]))
        except DdsError:
            pass

    threading.Thread(target=work, daemon=True).start()
    return server


class Caller:
    """A client that waits for its replies."""

    def __init__(self, participant: Participant, name: str = '/types') -> None:
        self.wake = threading.Event()
        self.client = ServiceClient(participant, name, Types, SERVICE_QOS, self.wake.set)

    def call(self, *names: str) -> list[int]:
        sequence = self.client.send(Types.Request(names=list(names)))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.wake.wait(1)
            self.wake.clear()
            while (taken := self.client.take()) is not None:
                assert taken[0] == sequence, 'the reply to another request'
                return list(taken[1].types)
        raise AssertionError('no reply')


REMOTE_SERVER = """
    wake = threading.Event()
    server = ServiceServer(participant, '/types', Types, Qos(depth=100), wake.set)
    def work():
        while wake.wait():
            wake.clear()
            while (taken := server.take()) is not None:
                server.send(taken[1], Types.Response(types=[len(one) for one in taken[0].names]))
    threading.Thread(target=work, daemon=True).start()
"""


def test_a_service_answers_the_first_call_of_another_process(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    partner(REMOTE_SERVER)
    caller = Caller(participant)
    assert not caller.client.server_available()
    wait_for(caller.client.server_available, 'the server')
    assert caller.call('a', 'bcd') == [1, 3]
    # new clients find a known server at once and need not lose their first call
    for index in range(5):
        fresh = Caller(participant)
        wait_for(fresh.client.server_available, 'the server')
        assert fresh.call('x' * index) == [index]
        fresh.client.close()


def test_clients_get_their_own_replies_only(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    partner(REMOTE_SERVER)
    callers = [Caller(participant) for _ in range(8)]
    for caller in callers:
        wait_for(caller.client.server_available, 'the server')

    def use(index: int) -> None:
        for count in range(20):
            assert callers[index].call('x' * index, 'y' * count) == [index, count]

    with ThreadPoolExecutor(len(callers)) as pool:
        list(pool.map(use, range(len(callers))))


def test_requests_of_a_process_are_served_in_this_one(
        participant: Participant, partner: Callable[[str], Partner]) -> None:
    serve(participant)
    other = partner("""
        import time
        from instructsam_ros.embedded.dds.services import ServiceClient
        for index in range(3):
            wake = threading.Event()
            client = ServiceClient(participant, '/types', Types, Qos(depth=100), wake.set)
            while not client.server_available():
                time.sleep(0.001)
            client.send(Types.Request(names=['x' * index]))
            while (taken := client.take()) is None:
                wake.wait()
            say(list(taken[1].types))
    """)
    wait_for(lambda: len(other.lines) == 3, 'the replies')
    assert other.lines == ['[0]', '[1]', '[2]']


def test_a_server_that_leaves_is_not_available(participant: Participant) -> None:
    server = serve(participant)
    caller = Caller(participant)
    wait_for(caller.client.server_available)
    assert caller.call('ab') == [2]
    server.close()
    wait_for(lambda: not caller.client.server_available())
    server.close()
    with pytest.raises(DdsError, match='closed'):
        caller.client.close()
        caller.client.send(Types.Request())


def test_a_broken_request_is_dropped_and_the_next_one_served(
        participant: Participant, caplog: pytest.LogCaptureFixture) -> None:
    serve(participant)
    caller = Caller(participant)
    wait_for(caller.client.server_available)
    raw = writer_of(participant, 'rq/typesRequest', Types.Request, SERVICE_QOS)
    raw.write(b'\0\1\0\0' + bytes([255] * 20))
    raw.write(b'\0\1\0\0' + bytes([255] * 8))
    assert caller.call('abc') == [3]
    assert sum('rq/typesRequest' in message for message in caplog.messages) == 2


def test_a_reply_to_a_client_that_has_left_is_dropped(participant: Participant) -> None:
    wake = threading.Event()
    server = ServiceServer(participant, '/types', Types, SERVICE_QOS, wake.set)
    caller = Caller(participant)
    wait_for(caller.client.server_available)
    caller.client.send(Types.Request(names=['a']))
    assert wake.wait(PATIENCE)
    taken = server.take()
    assert taken is not None
    caller.client.close()
    server.send(taken[1], Types.Response())
    server.send(RequestId(b'unknown!', 1, 12345), Types.Response())
    assert server.take() is None
