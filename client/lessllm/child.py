"""Runs a service as a child that does not outlive its parent: `python child.py LIFELINE MODULE ARGUMENT…`.

LIFELINE is the read end of a pipe whose other end the parent holds. Its end of file means that nobody
is left there, however they ended: the service is then asked to stop, and made to if it doesn't. This
needs no signal from the kernel, so it works on every Unix. Run by its path, it imports nothing of ours.
"""

import os
import runpy
import signal
import sys
import threading
import time

_GRACE_S = 40.0


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written: it returns when the other end is gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    lifeline, module, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with_parent, args=(int(lifeline),), name="lifeline", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
