"""All roles of a federation as processes of this machine.

``run``         a whole federation, from its configuration to its result
``federate``    the members' processes, in the order in which they are started
``key_rotation``  new keys for all members, where all folders are on this machine
``witness``     a watch over the server's messages, files and memory
``start_file``  what a run was started with, so that it can be taken up again
``supervisor``  no process outlives the run, and a run that lost one ends with its name
``child``       one process: started, heard through a pipe, ended for certain
``causes``      of several lost processes, the one that had a reason of its own
``signals``     Ctrl-C and termination, as an exception or as a note that a loop reads
"""
