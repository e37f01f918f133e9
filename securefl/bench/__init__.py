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
``overhead``     the other benchmark: a whole federation in float32, as integers without a cipher, and encrypted
``overhead_measurement``, ``overhead_measure``
                 what such a run is told and says, and what runs in its process
``overhead_federation``, ``overhead_messages``, ``overhead_float32``
                 the library's own federation with a meter at every seam; the transport's messages; plain averaging
``meter``        seconds and memory by round, role and phase
``overhead_report``, ``overhead_tables``, ``overhead_plot``
                 ratios to float32, for programs and for people
``tables``, ``plot``
                 the same for people

Peers (NVFlare, Flower) run in interpreters of their own, by the scripts in ``benchmarks/peers``.
"""
