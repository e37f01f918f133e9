"""Privacy accounting: events to epsilon.

``base``         one interface, and what every accountant does alike
``concentrated``  discrete noise as a Gaussian mechanism, or by bounds of Renyi divergence
``rdp``          Renyi differential privacy, by dp-accounting; for every event
``pld``          privacy loss distributions, by dp-accounting; tight, not for Skellam noise
``prv``          privacy loss random variables, by Opacus, where it is installed
``accountants``  accountants by name
``second_opinion``  the same events by every accountant, and which of them cannot all be right
``noise_calibration``  the least noise that keeps a target
"""
