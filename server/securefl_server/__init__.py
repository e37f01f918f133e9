"""Process of the server: it listens, checks, adds, and serves the sum; it holds no key that decrypts anything.

``process``     starts and ends it: the folder, the event loop's thread, the result
``service``     the calls: who may say what, and what a contribution passes before it counts
``conductor``   carries out what the state machine says: timers, announcements, members out of reach
``attendance``  which process stands for a member, and whether it is there
``store``       files of contributions and sums
``summation``   the running sum of one round, window by window
``record``      what a run's result says

The round with attempts (version 3):

``round_server``  the core: requests in, answers and announcements out; no socket, no thread
``round_service`` the calls: from certificates to members, from the event loop to the core's one thread
``round_process`` starts and ends it: the folder, the store, the event loop's thread, the result
``round_recording`` figures of every round, from the core's events
``intake``        contributions on their way in: the head, then the body from any place on
``bodies``        files of a round: bodies and sums
``body_sums``     the sum of the survivors' bodies, from files to a file
``round_archive`` store and files as one: what is kept, what is shown, what is cleared away
``round_store``   the server's memory: events, heads of contributions and sums, reveals
``store_file``    the store's file as SQLite sees it: errors as sentences, reading beside a running server
``round_status``  status of a federation, read from the store beside the server
``step_clock``    deadlines of steps, and which members count as there
``round_news``    events of a round as lines of the log

``python -m securefl_server FOLDER`` starts it without the rest of the command line.
"""
