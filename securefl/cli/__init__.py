"""What a user types: one file a command, and what the commands share.

``main``        the program: its commands, and the one place where an error becomes a sentence
``signals``     Ctrl-C and termination, as an exception or as a note that a loop reads
``output``      the consoles, and the result as JSON
``reporting``   how one process reports, to a person or to ``securefl run``
``provisioning``    ``securefl init``
``member``      ``securefl server`` and ``securefl client``: one process of a federation
``run``         ``securefl run``: all of them on this machine
``export``      ``securefl export``
``federate``, ``supervisor``, ``child``, ``casualties``
                a run's processes: started, heard, ended, and why one of them was lost
``live``, ``summary``, ``results``, ``run_folder``
                what a run shows while it works and at its end, and what it leaves behind

Commands import what they need when they run, so that ``--help`` needs neither torch nor gRPC.
"""
