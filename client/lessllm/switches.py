"""`lessllm.config`: what can be changed while a server runs, as attributes.

Set before there is a server, they are remembered for it; afterwards they change it at once.
"""

from lessllm.session import Client


class Switches:
    """Attributes to read and set. A misspelt one is an AttributeError, not a wish that nobody hears."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def debug_mode(self) -> bool:
        """Log each call and its phases. Records are complete without it."""
        return self._client.switch("debug_mode")

    @debug_mode.setter
    def debug_mode(self, value: bool) -> None:
        self._client.change_switch("debug_mode", value)

    @property
    def enable_cache_analysis(self) -> bool:
        """Predict cache hits from prompts, and compare them with what providers report."""
        return self._client.switch("enable_cache_analysis")

    @enable_cache_analysis.setter
    def enable_cache_analysis(self, value: bool) -> None:
        self._client.change_switch("enable_cache_analysis", value)

    def __repr__(self) -> str:
        switches = f"debug_mode={self.debug_mode} enable_cache_analysis={self.enable_cache_analysis}"
        return f"<lessllm.config {switches}>"
