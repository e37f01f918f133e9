"""A whole federation in one process: the real sessions, core, cipher and addition, without sockets.

``federation``  runs every round of a federation between given members, and records what travelled
``traffic``     contributions and sums on their way, and what carries them
``seat``        a member's session over its aggregation, with a journal in memory
``memory``      a member's journal and a server's store for as long as the process lives
``world``       the same on a virtual clock with faults
"""
