"""The encrypted sum: integers to ciphertexts, ciphertexts to one sum, the sum back; and who is who.

``profiles``      named parameter sets, and the proof that sums under them are exact
``packing``       signed integers to slots (several lanes a slot), and sums of slots back
``cipher``        what every cipher can do
``bfv``           the cipher, through TenSEAL's SEAL; the only importer of tenseal
``twin``          the integer twin: the same integers without a cipher
``sealbytes``     the serialised objects that SEAL is fed with, built and taken apart field by field
``words``         fixed-width little-endian words
``wireform``      what travels of a ciphertext: exact sizes, checked decoding
``addition``      the server's part: residues and MACs added modulo q, without any key
``authentication``  the MAC on every ciphertext, verified before anything is decrypted
``tags``          two tags in the plaintext of every section, checked after it
``linearform``    secret linear forms modulo a prime: what both of them are made of
``prf``           pseudorandom words from keys
``framing``       lists of byte strings as one
``keys``          the shared keys as fixed-length bytes, and their file
``identity``      Ed25519 signing keys
``certificates``  a member's TLS files, checked before they are used
``authority``     the federation's TLS authority
``privatefile``   secrets on disk: owner only, written whole or not at all

Nothing is imported here: a server that adds needs ``profiles``, ``wireform`` and ``addition``, and no key.
"""
