"""Factors that a round trains against and nobody changes."""
