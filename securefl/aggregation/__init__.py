"""The way of one update, member's side, one sequence: encode, encrypt and sign it; decrypt and apply the sum.

In the order of the way, with the modules of other packages that stand on it:

``member``        the sequence itself: a learner's update out, an aggregate in
``learner``       what the sequence needs of a model and its data
``clock``         its stages, and the clock that they are timed by
                  ``adapters.payloads``: the linear map
``weighting``     the members' weights, and the one sum of them
                  (clipping for privacy will stand here)
``grid``          reals to bounded integers by stochastic rounding, and back
                  (noise for privacy will stand here)
``encoding``      the three above in one: an update to integers, a sum of integers to the mean update
``selection``     which integers go into which section
                  ``crypto.packing``, ``crypto.tags``, ``crypto.cipher``
``encryption``    integers to windows of ciphertexts, and the signed header
``contribution``  a contribution as a value, and what its MACs and tags are bound to
``decryption``    an aggregate, verified, back to integers
                  ``adapters.state`` and ``adapters.redistribution``: the mean applied, and the next start
"""
