"""Generated stubs of the wire; ``make protos`` makes them anew from ``protos``."""
