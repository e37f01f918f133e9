"""The way of one update, member's side, one sequence: encode and encrypt it; decrypt and apply the sum.

In the order of the way, with the modules of other packages that stand on it:

``member``        the sequence itself: a learner's update out, an aggregate in
``update_source`` a model and its data, as far as the sequence asks for them
``clock``         its stages, and the clock that they are timed by
``member_state``  the global state at this member: starts in its own rank, and the step along a mean
``member_layers`` the layers that this member trains, and its scores of them
``member_ranks``  the ranks that members keep, where they prune them
                  ``adapters.payloads``: the linear map
``first_factors`` frozen factors that rounds begin from, where the member's own model says them
``head_openings`` the sums before training: what a member answers, and what it then knows
``opening_sums``  their integers, and what follows from their sums
``others``        what a sum leaves for the other members, and if they can have sent it
``weighting``     the members' weights, and the one sum of them
``weight_rule``   a member's own weight by the federation's rule, in steps of the grid
``own_weight``    what a member has sent of the sum of weights, and what it leaves for the others
``class_weighting`` the same by class, for heads with one row a class
``layer_means``   means over owners, where not every member trains every layer
``grid``          reals to bounded integers by stochastic rounding, and back
                  ``protocol.client_noise``: clipping, rounding and noise in the place of weights and grid, under
                  ``[privacy] unit = "client"``
``encoding``      payload, weights and grid in one: an update to integers, a sum of integers to the mean update
``cut``           what an attempt's cohort may not sum, as zeros
``early_stopping``  the cohort's sum of validation losses, and when it ends the federation
``kept_state``    a member's loss in that sum, and the state that is gone back to
``selection``     which integers go into which section
                  ``crypto.packing``, ``crypto.tags``, ``crypto.cipher``
``encrypted_rounds`` a member's use of the keys: one encryption and one verdict an attempt
``encryption``    integers to windows of ciphertexts
``contribution``  what a contribution's polynomials, MACs and tags are bound to
``decryption``    an aggregate, verified, back to integers
``needles``       runs of a member's values in every encoding, for a watch over what leaves it
``outcome``       who was in a round's cohort, and whose contributions are in its sum
``sum_chain``     digests of the sums applied, and of the state that members compare
                  ``adapters.state`` and ``adapters.redistribution``: the mean applied, and the next start

From integers to a sum and back, for a contribution of one section (``member`` does the same with an update):

    >>> import numpy as np
    >>> from securefl.aggregation.contribution import Binding
    >>> from securefl.aggregation.decryption import decrypt_sections, summed_sections
    >>> from securefl.aggregation.encryption import Encryption, Part
    >>> from securefl.crypto.addition import ResidueSum
    >>> from securefl.crypto.contributor import Contributor
    >>> from securefl.crypto.entropy import SYSTEM
    >>> from securefl.crypto.kahe.cipher import KaheCipher
    >>> from securefl.crypto.kahe.keys import KeySum
    >>> from securefl.crypto.schemes import profile_for
    >>> from securefl.protocol.agreement.signed import Attempt
    >>> cipher, tag_key = KaheCipher(profile_for(3, 16, scheme="kahe")), SYSTEM(32)
    >>> binding = Binding(Attempt(bytes(32), key_epoch=1, round_number=1, number=1), digest=bytes(32))
    >>> total, keys, contributors = ResidueSum(cipher.form, 1), [], []
    >>> for number in (1, 2, 3):
    ...     contributors.append(Contributor(f"client-{number}", salt=SYSTEM(32)))
    ...     part = Part(cipher, 4, lambda: [np.full(4, -number)])
    ...     encryption = Encryption(
    ...         [part], binding=binding, contributor=contributors[-1], tag_key=tag_key
    ...     )
    ...     for window in encryption.windows():
    ...         total.add_upload(0, window, ciphertexts=1)
    ...     keys.append(encryption.key)
    >>> body = cipher.form.encode_aggregate(total.total())
    >>> sections = summed_sections(
    ...     binding, [(each, b"") for each in contributors], counts=[4], ciphers=[cipher]
    ... )
    >>> decrypt_sections(sections, body, tag_key=tag_key, key_sum=KeySum.of(keys))
    array([-6, -6, -6, -6])
    >>> decrypt_sections(sections, bytes(len(body)), tag_key=tag_key, key_sum=KeySum.of(keys))
    Traceback (most recent call last):
    securefl.errors.ForgeryError: ...
"""
