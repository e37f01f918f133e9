"""The round: its state table, its messages, and the two state machines that follow it.

What all agree on:

``file_format``     the version of pinned files, and their one reading and writing
``terms``           what holds for every member
``federation``      the pinned federation file
``server_view``     what the server knows of it
``openings``        the sums before the first round of training, and how rounds are numbered for them
``round_kind``      what the contributions to a round carry
``owner_rule``      what a cohort may sum of a round, and the survivors that this needs
``sections``        runs of ciphertexts that a contribution consists of, and their lengths

What is said:

``agreement``       what members sign in a round, and what they check of it
``calls``           everything that members and server say to each other in a round with attempts, as frozen objects
``messages``        everything members and server say to each other, as frozen objects
``last_words``      what is said of a member that cannot go on: a fixed sentence for each kind of error
``wire``            calls and announcements to and from protobuf: a border where peers' bytes become objects
``wire_parts``      the same for the parts of contributions and aggregates
``wire_fields``     the fields that both check
``streams``         contributions and aggregates cut into parts, and put together

What is said in a round with attempts (version 3):

``wire_signed``         signed objects, cohorts, statements and proofs to and from protobuf
``wire_announcements``  announcements to and from protobuf
``wire_calls``          requests and answers of the short calls to and from protobuf
``wire_staging``        contributions cut into parts, and put together
``wire_packets``        packets to one member cut into parts, and put together
``wire_aggregates``     aggregates cut into parts, and put together

What happens next:

``transitions``     one table: every legal step of a round, for the server and for a client
``serving``         the server's round with attempts (version 3), as values
``survivors``       the rule by which a server proposes survivors
``server_events``   what the server's state machine is told, and what it asks for
``server_round``    the server's state machine: a state and an event in, the next state and effects out
``client_events``   what a client's state machine is told, and what it asks for
``member_records``  what a member's journal of rounds with attempts may hold
``member_session``  the state that follows from a journal, and what an announcement asks of it
``client_session``  a client's state machine: a state and an event in, the next state and effects out
"""
