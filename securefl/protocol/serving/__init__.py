"""The server's round as values: what happened, where it stands, what is due; no clock, no file, no connection.

``server_phases`` every legal step, in one table
``round_events``   what members sent and the server accepted, and what it decided itself
``server_state``   the state that these events lead to, and the rules that a server goes by
``view_rules``     the rules that follow from a server's file
``round_machine``  (state, event) -> (state, effects)
``acceptance``     requests of members, checked: the events that they are
``decisions``      what is due, given who is connected and which deadlines have passed
``announcements``  what members are told in a state
``sum_head``       what is kept of a certified sum beside its bytes
``event_codec``    events and records as text, for the store
"""
