"""The benchmark of aggregation: an encrypted sum beside plaintext, CKKS and other toolkits.

``benchmark``      every way of adding a cohort's vectors, alternating, in processes of its own
``measurement``    a measured process's job and answer: one form for our ways and for peers
``vectors``        the vectors that all ways add
``measure``        a whole round in such a process, cut where bytes are handed over
``ways``           interface of a way of adding
``grid_encoding``  a vector as the integers of a contribution
``encrypted``      securefl's own way
``key_round``      its one-time keys: shares, packets, reveals
``plaintext``      float32, and our integers without a cipher
``ckks``           the CKKS baseline, which leaks its key
``report``         medians, figures a value, bars
``tables``         the same as tables
``plot``           the same as a plot
"""
