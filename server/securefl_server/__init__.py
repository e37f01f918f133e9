"""Process of the server: it listens, checks, adds, and serves the sum; it holds no key that decrypts anything.

``process``     starts and ends it: the folder, the event loop's thread, the result
``service``     the calls: who may say what, and what a contribution passes before it counts
``conductor``   carries out what the state machine says: timers, announcements, members out of reach
``attendance``  which process stands for a member, and whether it is there
``store``       files of contributions and sums
``summation``   the running sum of one round, window by window
``record``      what a run's result says

``python -m securefl_server FOLDER`` starts it without the rest of the command line.
"""
