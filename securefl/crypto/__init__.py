"""Encryption of sums: integers to ciphertexts, ciphertexts to one sum, and the sum back to integers.

``words``           fixed-width little-endian words
``framing``         lists of byte strings as one
``prf``             pseudorandom words from keys
``linearform``      secret linear forms modulo a prime: what MACs and tags are made of
``profiles``        parameter sets as packing and plans need them: lanes, bounds, exact cohorts
``bfv_profiles``    those of BFV, and the proof that sums under them are exact
``schemes``         schemes by name, and the choice of a profile
``kahe``            key-additive encryption with one-time keys: a package
``keys``            the shared keys as fixed-length bytes
``thresholds``      constants of a roster: smallest cohort, colluders, threshold
``entropy``         where random bytes come from
``residues``        arithmetic modulo 65521: inverses and interpolation
``reed_solomon``    decoding: the places where a word leaves every polynomial of low degree
``shares``          packed Shamir shares of one-time keys, and the sum of keys from t sums of shares
``sealed_box``      boxes that one member alone opens: HPKE with X25519 and ML-KEM-768
``dealt_keys``      keys that one member deals to another: sealed, and signed by the dealer
``channel_keys``    keys between members: a ratchet by round, and one key for every message
``channels``        all channel keys of one member, as fixed-length bytes
``sealed_reasons``  reasons for an abstention, sealed to the members
``packing``         signed integers to slots (several lanes a slot), and sums of slots back
``contributor``     a member and the salt of its header: what pads are derived from
``tags``            a secret tag in the plaintext of every section, checked after decryption
``fingerprints``    short forms of public keys that people compare
``windows``         contributions and aggregates, some ciphertexts at a time
``cipher``          what every cipher can do
``bfv``             BFV through TenSEAL's SEAL; the only importer of tenseal
``authenticated_bfv``  BFV with a MAC on every ciphertext, as a cipher
``seal_format``     the serialised objects that SEAL is fed with, built and taken apart field by field
``integer_twin``    the same integers without a cipher
``keyed_cipher``    the cipher of a scheme and profile, with the shared keys
``authentication``  the MAC on every ciphertext, verified before anything is decrypted
``wireform``        what travels of a ciphertext: exact sizes, checked decoding
``addition``        the server's part: words and MACs added, without any key

Nothing is imported here: a server that adds needs ``profiles``, ``wireform`` and ``addition``, and no key.
"""
