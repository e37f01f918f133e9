"""The benchmark of aggregation: an encrypted sum beside plaintext, CKKS and other toolkits."""
