"""securefl: privacy-hardened secure aggregation for federated LoRA fine-tuning.

The packages stand in the order in which an update travels through them:

``config``      what a federation is: TOML files to frozen, validated objects
``training``    a client's torch side: PEFT adapters, local loops, fusion
``adapters``    numpy: layout of the values, payloads, the integer grid, averaging, redistribution by SVD
``crypto``      packing of integers into slots, BFV, the wire format of ciphertexts, identities
``protocol``    the round as a state table, and the messages; no I/O and no clock
``transport``   gRPC over mutual TLS
``privacy``     the ledger
``simulation``  a whole federation in one process
``cli``         what a user types
"""

__version__ = "0.2.0"
