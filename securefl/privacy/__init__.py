"""Differential privacy: mechanism, accounting, plan. Pure: no file, no clock.

``noise_stream``  randomness of the noise, from the operating system
``tables``      integer samples by an exact table
``discrete_gaussian``  discrete Gaussian noise
``skellam``     Skellam noise
``clipping``    clipping of a whole update
``rotation``    a public random rotation without padding
``rounding``    conditional stochastic rounding, and the check of the integer norm
``integer_sensitivity``  what one member can change, in integers
``mechanism``   unit ``client``: all of these in their order
``client_canaries``  that mechanism on updates that are known, for whoever audits it
``sampled_training``  unit ``example``: what a round of DP-SGD releases
``events``      what was released, as events with one text each
``accounting``  events to epsilon
``plan``        everything of a promise as one value
``least_noise``  plans from targets
``noise_level``  noise that is weaker than charged somewhere, found in values that are noise alone
``one_run``     lower bounds of epsilon from guesses on canaries
``budget``      a budget over many federations, and the check of a round before it runs
"""
