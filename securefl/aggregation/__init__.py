"""The way of one update, member's side, one sequence: encode, encrypt and sign it; decrypt and apply the sum.

In the order of the way, with the modules of other packages that stand on it:

``member``        the sequence itself: a learner's update out, an aggregate in
``update_source`` a model and its data, as far as the sequence asks for them
``clock``         its stages, and the clock that they are timed by
``member_state``  the global state at this member: starts in its own rank, and the step along a mean
``member_layers`` the layers that this member trains, and its scores of them
                  ``adapters.payloads``: the linear map
``head_openings`` the sums before training: what a member answers, and what it then knows
``opening_sums``  their integers, and what follows from their sums
``others``        what a sum leaves for the other members, and if they can have sent it
``weighting``     the members' weights, and the one sum of them
``weight_rule``   a member's own weight by the federation's rule, in steps of the grid
``own_weight``    what a member has sent of the sum of weights, and what it leaves for the others
``class_weighting`` the same by class, for heads with one row a class
``layer_means``   means over owners, where not every member trains every layer
                  (clipping for privacy will stand here)
``grid``          reals to bounded integers by stochastic rounding, and back
                  (noise for privacy will stand here)
``encoding``      the three above in one: an update to integers, a sum of integers to the mean update
``early_stopping``  the cohort's sum of validation losses, and when it ends the federation
``kept_state``    a member's loss in that sum, and the state that is gone back to
``selection``     which integers go into which section
                  ``crypto.packing``, ``crypto.tags``, ``crypto.cipher``
``encrypted_rounds`` a member's use of the keys: one encryption and one verdict a round
``encryption``    integers to windows of ciphertexts, and the signed header
``contribution``  a contribution as a value, and what its MACs and tags are bound to
``decryption``    an aggregate, verified, back to integers
                  ``adapters.state`` and ``adapters.redistribution``: the mean applied, and the next start

From integers to a sum and back, for a contribution of one section (``member`` does the same with an update):

    >>> import numpy as np
    >>> from securefl.aggregation.decryption import SummedSection
    >>> from securefl.aggregation.encryption import Encryption, Part, encrypt_at_once
    >>> from securefl.crypto.addition import ResidueSum
    >>> from securefl.crypto.integer_twin import IntegerTwin
    >>> from securefl.crypto.keys import SharedKeys
    >>> from securefl.crypto.profiles import profile_for
    >>> from securefl.identity.signing import SigningKey
    >>> from securefl.protocol.messages import Manifest
    >>> cipher, keys = IntegerTwin(profile_for(3, 16)), SharedKeys.generate(None)
    >>> manifest = Manifest(bytes(32), 1, ("client-1", "client-2", "client-3"))
    >>> total = ResidueSum(cipher.form, 1)
    >>> for number, member in enumerate(manifest.cohort, start=1):
    ...     part = Part(cipher, 4, lambda: [np.full(4, -number)])
    ...     contribution = encrypt_at_once(
    ...         Encryption(
    ...             [part], manifest=manifest, member=member, keys=keys, signing_key=SigningKey.generate()
    ...         )
    ...     )
    ...     total.add(0, cipher.form.decode_upload(contribution.body, ciphertexts=1))
    >>> body = cipher.form.encode_aggregate(total.total())
    >>> seeds = tuple((member, b"") for member in manifest.cohort)  # the twin has none
    >>> section = SummedSection(0, 4, cipher, 0, seeds)
    >>> section.verify(body, manifest=manifest, keys=keys)
    >>> section.decrypt(body, manifest=manifest, keys=keys)
    array([-6, -6, -6, -6])
    >>> section.verify(bytes(len(body)), manifest=manifest, keys=keys)
    Traceback (most recent call last):
    securefl.errors.ForgeryError: ...
"""
