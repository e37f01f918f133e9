"""gRPC over mutual TLS 1.3: how messages travel, who sent them, and what is said when they do not arrive.

``grpc_tls``     the one importer of grpc; it leaves TLS 1.2 nothing to offer
``credentials``  TLS files as grpc wants them
``settings``     keepalive, limits, timeouts
``methods``      the calls of the service
``telemetry``    who wants to see message bytes, or count them
``failures``     errors to gRPC statuses and back
``diagnosis``    why a server cannot be reached, in one sentence
``proxies``      the proxy that stands in the environment
``waiting``      a wait for the server, told from time to time
``client``       a member's calls, with retries
``server``       the aggregator's end: TLS peers to certificates, messages to objects

Nothing is imported here.
"""
