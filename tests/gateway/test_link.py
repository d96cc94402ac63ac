"""The connection to the collector: its address and its keys."""

import pytest
from lessllm_gateway.link import Link
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Collector


@pytest.mark.parametrize("endpoint", ["tcp://collector:5555", "tcp://[::1]:5555", "ipc:///tmp/records"])
def test_an_endpoint_is_good_whether_or_not_anybody_is_there(endpoint):
    Link(Collector(endpoint=endpoint, allow_plaintext=True))


@pytest.mark.parametrize("endpoint", ["tcp://collector", "tcp://:x", "tcp://*:5555", "ipc://"])
def test_an_endpoint_that_is_none_is_a_wrong_configuration(endpoint):
    with pytest.raises(ConfigError, match=r"^collector\.endpoint: .* is no address"):
        Link(Collector(endpoint=endpoint))


def test_beyond_this_machine_it_wants_keys():
    with pytest.raises(ConfigError, match=r"`lessllm keys`"):
        Link(Collector(endpoint="tcp://collector:5555"))
