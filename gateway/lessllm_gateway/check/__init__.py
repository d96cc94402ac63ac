"""What is behind `lessllm check`: every way of every provider tried, stage by stage, without a service.

A *probe* tries one way; an *authority* is who issued a certificate; a *verdict* is what a provider's answer
says of its key; *hearsay* is what strangers say, made fit to be shown; a *remark* is on a client key.
`python -m lessllm_gateway.check` is the process: a configuration in, a line of JSON out for each provider.
Nothing that costs is asked of anybody, and no key and no password is ever shown.
"""
