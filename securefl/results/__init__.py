"""Things that runs leave: folders, and results of clients and of whole runs.

``folder``     the folder of one run: what lies where
``formats``    the number of a file's format, and the way from the former one
``client``     a client's result: one schema, for who writes and who reads it
``sum_certificates``  cohort and certificate of every sum that a member opened
``needle_files``  needles of a watched run, by member
``reading``    results of this format or that of 0.1.0, and ledgers: read and checked
``run``        the results of all clients as one
``curve``      the global adapter on validation rows, round by round
``advice``     which adapter to use, in a sentence for each client
"""
