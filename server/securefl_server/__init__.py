"""Process of the server: it listens, checks, adds, and serves the sum; it holds no key that decrypts anything.

``process``         starts and ends it: the folder, the store, the event loop's thread, the result
``round_server``    the core: requests in, answers and announcements out; no socket, no thread
``round_service``   the calls: from certificates to members, from the event loop to the core's one thread
``attendance``      which process stands for a member, and whether it is there
``intake``          contributions on their way in: the head, then the body from any place on
``bodies``          files of a round: bodies and sums
``body_sums``       the sum of the survivors' bodies, from files to a file
``round_archive``   store and files as one: what is kept, what is shown, what is cleared away
``round_store``     the server's memory: events, heads of contributions and sums, reveals
``store_file``      the store's file as SQLite sees it: errors as sentences, reading beside a running server
``round_status``    status of a federation, read from the store beside the server
``server_rotation`` its part in a change of the members' keys: their number, and nothing of them
``step_clock``      deadlines of steps, and which members count as there
``round_news``      events of a round as lines of the log
``round_recording`` figures of every round, from the core's events
``recorded_messages`` messages of a watched run, written down
``record``          what a run's result says

``python -m securefl_server FOLDER`` starts it without the rest of the command line.
"""
