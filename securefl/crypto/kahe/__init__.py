"""Key-additive encryption with one-time keys: words that add, opened by the sum of the keys, after Willow and ACORN.

``parameters``  numbers that no profile changes
``modulus``     words modulo q = 2^60
``ring``        exact products of public and short polynomials, with their proof
``public``      public polynomials from the attempt and the section
``randomness``  a keystream for each key and each section's errors
``gaussian``    discrete Gaussian integers by an exact table
``profiles``    parameter sets, and the proof that sums under them are exact
``keys``        short keys, each for one contribution, and the sum of them
``cipher``      the scheme behind the interface of ``crypto.cipher``
``scheme``      windows of slots to words, and totals back

Nothing here reads a file or a clock, and nothing is imported here.
"""
