"""DP-SGD on an adapter's factors and head: what a round of unit ``example`` trains with.

``row_gradients``     gradients of single rows, held as factors where they are products
``module_rules``      from a module's inputs and output gradients to those of its parameters
``taps``              inputs and output gradients of the modules that are trained
``row_clipping``      factors by which rows' gradients are shortened, and their sum
``fine_noise``        Gaussian noise on a grid so fine that nothing is lost by it
``noise_scaled_sgd``  gradient descent by the deviation of the noise
``sampling``          Poisson sampling of rows
``rehearsal``         a judgement before anything is charged: would these steps train, and each row alone?
``steps``             the steps of a round
``member_plan``       one member's plan, from its file and its rows
``canaries``          the mechanism on rows whose gradients are known, for whoever audits it
``private_rounds``    a member's private rounds

One round, as ``private_rounds`` runs it: rehearse -> charge -> for each step: sample rows, clip each gradient, sum, add
noise, descend. Only what the descent is given has noise; losses on the way have none, and stay with the member.

References: Abadi et al. 2016 (arXiv 1607.00133), DP-SGD; Bu et al. 2023 (arXiv 2210.00038), sums of clipped gradients
from one backward pass without the gradients of single rows.
"""
