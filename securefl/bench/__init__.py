"""Benchmarks: measured costs and gains, as ``securefl bench`` shows them.

``aggregation``  an encrypted sum of vectors, beside plaintext, CKKS and other toolkits
``overhead``     a whole federation in float32, as integers without a cipher, and encrypted
``quality``      what the adapters of federations are worth, beside training alone and training centrally
``processes``    a measured process: pinned to one core, ended for certain
``answering``    the inside of such a process: an order in, a measurement out
``stopwatch``    seconds, wall and CPU
``host``         description of the machine of a measurement

Peers (NVFlare, Flower) run in interpreters of their own, by the scripts in ``benchmarks/peers``.
"""
