"""What an update is, in numpy: from adapters to a vector of integers, and from a sum of such vectors back.

``layout``          which tensors a federation shares, and their shapes
``update``          the values: a client's update, the mean of updates, an adapter
``ownership``       how many may collude, and which ranks may be summed
``basis``           the frozen factor of a round, from public seeds
``frame``           the two frozen factors of a federation, from public seeds
``sketching``       a matrix by two random projections, and back
``payloads``        linear encodings of an update: ``dense``, ``sketch``, ``basis``, ``core``
``averaging``       the encrypted weights that make a sum into a mean over a rank partition's owners
``grid``            reals to bounded integers by stochastic rounding, and back
``contribution``    the four above in one: an update to integers, a sum of integers to the mean update
``state``           the global change, round after round
``redistribution``  the best adapter of a client's own rank, by SVD
``fusion``          the global and the personal adapter as one
``linalg``          decompositions with fixed signs
``seeding``         reproducible generators

Nothing here knows torch, ciphertexts or the network.
"""
