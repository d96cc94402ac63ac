"""What the gateway and the collector both speak.

`record` is one call as the gateway saw it, `wire` its way over ZeroMQ, `config` the configuration
file, `providers` the presets, `sse` and `assembly` the reading of event streams, `browser` the guard
that keeps web pages out of both services. Imports neither service.
"""

from importlib.metadata import version

__version__ = version("lessllm-shared")
