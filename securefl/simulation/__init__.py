"""A whole federation in one process: the real state machines, cipher and addition, without sockets and clocks.

``federation``  runs every round of a federation between given members, and records what travelled
"""
