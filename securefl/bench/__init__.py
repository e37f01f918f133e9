"""What things cost, measured: what ``securefl bench`` runs.

``aggregation``  the benchmark itself: every way of adding a cohort's vectors, alternating, in processes of its own
``measurement``  what a measured process is told, and what it says: the one form for our paths and for peers
``processes``    a measured process: pinned to one core, ended for certain
``measure``      what runs in it: a whole round, cut where bytes are handed over
``paths``        what a way of adding has to offer
``plaintext``, ``encrypted``, ``ckks``
                 the ways: float32 and our integers without a cipher; securefl; the CKKS baseline, which leaks its key
``encoding``     a vector as the integers of a contribution
``vectors``      the vectors that all of them add
``stopwatch``    seconds, wall and CPU, and memory
``machine``      where it was measured
``report``       medians, figures a value, bars
``tables``, ``plot``
                 the same for people

Peers (NVFlare, Flower) run in interpreters of their own, by the scripts in ``benchmarks/peers``.
"""
