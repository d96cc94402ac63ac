"""What a collector does not start with: an API that anybody may read. `lessllm check` says it too."""

from lessllm_shared.addresses import is_loopback
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Collector


def check_exposure(collector: Collector) -> None:
    """Whoever reaches the API reads every prompt. Raises ConfigError."""
    if collector.api_key is None and not (collector.allow_anybody or is_loopback(collector.host)):
        raise ConfigError(
            f"collector.host: whoever reaches {collector.host} could read every call: set collector.api_key,"
            " or collector.allow_anybody: true"
        )
