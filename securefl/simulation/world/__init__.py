"""A federation on a virtual clock: the real server's core and the real members' sessions, one thread, one seed.

``virtual_clock``  seconds that pass only when nothing is left to do, and what is to happen when
``faults``    probabilities of every fault, and the choices that a seed makes of them
``server``    the server's process: its core, its store, who is connected; it can end and start again
``member``    a member's process: its session, its requests and their repetition; it can end and start again
``federation``  all of them, until everybody has finished or the run is over
"""
