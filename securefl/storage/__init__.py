"""Files that are private, durable, or whole.

``private``  secrets: readable by their owner only
``durable``  a file that only grows, safe against a crash
``disk``     a disk that is full, read-only or closed to this user, in one sentence; results for their owner only
``whole``    results and tables, written whole or not at all
``lock``     one process at a time in a member's folder
"""
