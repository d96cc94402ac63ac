"""What can be changed while the collector runs. Written by the API, read by the writer's thread."""

from dataclasses import dataclass

from lessllm_shared.config.sections import Logging


@dataclass
class Switches:
    """Begins as configured; single attributes change, so that no lock is needed."""

    debug_mode: bool  # log each call
    enable_cache_analysis: bool  # predict cache hits

    @classmethod
    def configured(cls, logging: Logging) -> "Switches":
        """As the configuration says."""
        return cls(logging.debug_mode, logging.enable_cache_analysis)
