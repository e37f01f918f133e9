"""Process of a client: it trains, encrypts, sends, and applies the sum.

``process``         starts and ends it: the folder, the model, the connection, and the loop that follows the session
``folder``          a client's folder on disk, checked when the client starts
``trainer``         from the folder to the trainer of its model and rows
``inbox``           the server's announcements, collected in the background
``rounds``          the work of a round: what the session says to do
``phases``          seconds by phase, and the same phases as events
``outbox``          a contribution, written and synced before it leaves
``aggregate_file``  a downloaded aggregate on disk, read piece by piece
"""
