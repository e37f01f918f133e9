"""The round: its state table, its messages, and the two state machines that follow it.

What all agree on:

``file_format``     the version of pinned files, and their one reading and writing
``terms``           what holds for every member
``federation``      the pinned federation file
``server_view``     what the server knows of it
``openings``        the sums before the first round of training, and how rounds are numbered for them
``round_kind``      what the contributions to a round carry
``client_noise``    noise that protects clients, as it is pinned, checked and used in every round
``row_promise``     a promise to rows, held against all that a federation sums
``privacy_promise`` both promises, as members, leads and audits ask for them
``owner_rule``      what a cohort may sum of a round, and the survivors that this needs
``sections``        runs of ciphertexts that a contribution consists of, and their lengths

What is said:

``agreement``           what members sign in a round, and what counts as agreed
``calls``               announcements, requests and answers, as frozen objects
``rotation_requests``   a member's signed wish for new keys, and the check that all wish for the same
``last_words``          what is said of a member that cannot go on: a fixed sentence for each kind of error
``wire_fields``         the fields that all codecs check
``wire_signed``         signed objects, cohorts, statements and proofs to and from protobuf
``wire_announcements``  announcements to and from protobuf
``wire_calls``          requests and answers of the short calls to and from protobuf
``wire_staging``        contributions cut into parts, and put together
``wire_packets``        packets to one member cut into parts, and put together
``wire_aggregates``     aggregates cut into parts, and put together

What happens next:

``serving``         the server's state machine: its table, its decisions, its events
``survivors``       the rule by which a server proposes survivors
``member_records``  what a member's journal may hold
``member_effects``  what a member is to do about an announcement
``member_session``  the state that follows from a journal, and what an announcement asks of it
"""
