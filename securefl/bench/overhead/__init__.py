"""The benchmark of overhead: one federation in float32, as integers, and encrypted.

``benchmark``    runs every variant several times, in processes of their own
``measurement``  a measured process's job and answer
``measure``      the work of such a process
``federation``   the library's own simulation, with the meter's clocks and the transport's messages
``float32``      federated averaging in float32, which the others are compared with
``messages``     a contribution as the transport's messages, there and back
``meter``        seconds and memory by round, role and phase
``report``       ratios to float32, for programs
``tables``       the same as tables
``plot``         the same as a plot
"""
