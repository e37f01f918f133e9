"""gRPC over mutual TLS 1.3: how messages travel, who sent them, and what is said when they do not arrive.

``grpc_tls``     the one importer of grpc; it leaves TLS 1.2 nothing to offer
``credentials``  TLS files as grpc wants them
``limits``       keepalive, limits, timeouts
``methods``      the calls of the service
``telemetry``    observers of message bytes, and their count
``prefetch``     messages made in one thread and sent by another, a few ahead
``client``       a member's calls, with retries
``server``       the aggregator's end: TLS peers to certificates, messages to objects
``failures``     errors to gRPC statuses and back
``waiting``      a wait for the server, told from time to time
``diagnosis``    reasons why a server cannot be reached, each in one sentence
``proxies``      the proxy that the environment names

Nothing is imported here.
"""
