"""Forecast of a federation's cost, and the proof that its sums will be exact, before anything runs.

The rule kept here: a plan is made from the very ``Federation`` that runs, by the functions that run it. Bytes and
inequalities are exact; seconds are measured on the machine that asks and scaled; nothing is a figure of some other
machine.

``sizes``          values, ciphertexts and bytes of a round, framing included
``round_messages`` the messages of a round as the wire has them, of which only lengths count
``losses``         losses of members that a round bears, by the thresholds and by the ranks
``exactness``      the inequalities of an exact sum with their numbers, and what margin is left
``speed``          seconds of each step on this machine, by doing it with a few ciphertexts
``sample_cohort``  members of one process that agree: the signed objects around a sum that is measured
``speed_process``  the same in a process of its own, on one core
``memory``         the buffers that a round holds
``forecast``       all of it together, beside plaintext
``noise_forecast``  privacy: noise, epsilon, and what noise leaves of the signal
``head_cases``     adapter against head alone under noise: measured cases, and the nearest one
``comparison``     the forecast beside what a run measured
``as_json``        both as JSON
"""
