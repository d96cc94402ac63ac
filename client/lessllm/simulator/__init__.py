"""A simulated provider: answers as OpenAI and Anthropic document their APIs, without a model.

`create_app` is the ASGI application, `running_simulator` the same on a port of its own, `python -m
lessllm.simulator` the command. A request goes through one row of modules:

    app → provider (keys, errors, headers) → dialect (openai/, anthropic/: reads the request)
        → cache (what a prompt cache would have held) → answers (what is said) → dialect (writes it)
        → delivery (when each byte leaves, and what goes wrong on purpose: faults)

It is written from the providers' documentation and knows nothing of the gateway or the collector: where
they disagree with it, one of them is wrong. Tokens are approximate (`tokens`), texts are invented, and
latencies are those of models.toml: figures from it say how LessLLM works, not how a model performs.
"""

from lessllm.simulator.app import create_app
from lessllm.simulator.running import running_simulator

__all__ = ["create_app", "running_simulator"]
