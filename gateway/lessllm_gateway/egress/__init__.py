"""The way out: from a route to an open connection, to a request's answer, with every phase timed.

Words: an *origin* is an upstream's server, a *hop* the proxy before it, a *place* both together, as far as
connections are concerned. The *dialer* opens a connection to a place; a *connection* speaks HTTP/1.1 over
it; the *pool* keeps connections; the *transport* is what httpx calls an AsyncBaseTransport over all that.
"""
