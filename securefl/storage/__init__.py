"""Files that are private, durable, or whole.

``disk``  a disk that is full, read-only or closed to this user, in one sentence; results for their owner only
``lock``  one process at a time in a member's folder
"""
