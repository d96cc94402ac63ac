"""Sending recorded requests again, through the gateway: `lessllm replay` and `lessllm compare`.

    request      a request that can be sent: a recorded call's, or one made of a prompt
    prompts      a file of prompts → requests
    trials       requests by models by repeats, in an order that is fair
    sending      a request → the gateway; whose key goes along
    run          trials, several at a time, until they are done or something stops them
    record       what the collector recorded of it: no figure is this process's own

A call that was sent again is marked by a tag, `replay_of` or `compare`, so that it is told from the
application's own.
"""
