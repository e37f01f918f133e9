"""The round: its state table, its messages, and the two state machines that follow it.

``federation``      the pinned federation file and the server's view of it
``round_kind``      what the contributions to a round carry
``messages``        everything members and server say to each other, as frozen objects
``wire``            those objects to and from protobuf: the one border where peers' bytes become objects
``transitions``     one table: every legal step of a round, for the server and for a client
``server_events``   what the server's state machine is told, and what it asks for
``server_round``    the server's state machine: a state and an event in, the next state and effects out
``client_events``   what a client's state machine is told, and what it asks for
``client_session``  a client's state machine: a state and an event in, the next state and effects out
``contribution``    integers to a signed, encrypted contribution; a verified aggregate back to integers
``participant``     a member's side of the sum: an update in, the next start out

Nothing here does I/O, reads a clock or draws randomness.
"""
