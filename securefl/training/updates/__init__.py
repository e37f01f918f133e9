"""Ways of training a round's update: one file each, in one table.

``way``            the seam: what a way is given, and what it gives back
``free``           both factors of the global adapter itself
``one_factor``     one factor beside the global adapter, against a frozen one
``shared_factor``  one factor of the shared adapter itself, against its learned other one
``whole_factors``  both factors at the rank that is summed, sent as they are
``shared_right``   the same with a B of the client's own
``beside_rest``    the client's own adapter beside the frozen mean of all others', with a mixer
``core``           a core beside the global adapter, between two frozen factors
``head_alone``     the head on frozen features, and no factor
``table``          from what a payload trains to its way

A new way is one file with a class of its own and one row in ``table``. It owns its round: ``Fit`` trains what the way
has switched on, for a round's steps, and may be called again for a second phase.
"""
