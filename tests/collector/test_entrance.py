"""The socket that gateways connect to."""

import pytest
import zmq
from lessllm_collector.entrance import Entrance, EntranceError


def test_an_address_that_is_taken_is_named_with_a_way_out():
    with zmq.Context() as context, context.socket(zmq.ROUTER) as holder:
        port = holder.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(EntranceError, match=f"{port}: Address already in use; set collector.endpoint"):
            Entrance(f"tcp://127.0.0.1:{port}")
