"""gRPC over mutual TLS 1.3: how messages travel, who sent them, and what is said when they do not arrive.

``grpc_tls``           the one importer of grpc; it leaves TLS 1.2 nothing to offer
``credentials``        TLS files as grpc wants them
``limits``             keepalive, limits, timeouts
``service_calls``      the calls of the service
``telemetry``          observers of message bytes, and their count
``prefetch``           messages made in one thread and sent by another, a few ahead
``member_channel``     a member's calls in bytes
``persistence``        tries of one request, their pauses, and their end
``aggregate_download`` a total over several streams
``aggregator_client``  a member's calls in objects, resumed where they broke off
``listening``          a port to listen at
``admission``          certificates that still hold, at every call
``revocations``        the list of revoked certificates, which may change while the server runs
``refusals``           refused calls as named events
``handshakes``         connections that never became a call: refused by TLS, or no member's program
``quotas``             calls and bytes that one certificate may have
``stage_stream``       uploads, one of a member at a time
``aggregator_server``  the aggregator's end: TLS peers to certificates, messages to objects
``failures``           errors to gRPC statuses and back
``waiting``            a wait for the server, told from time to time
``diagnosis``          reasons why a server cannot be reached, each in one sentence
``proxies``            the proxy that the environment names

Nothing is imported here.
"""
