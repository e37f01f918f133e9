"""Signed objects of a round: what members bind themselves to, and what counts as agreed.

``signed``           one binary form for everything that a member signs: a kind, its attempt, its signer
``cohort``           attempts, adverts, and the cohort that they close to: its digest A, its thresholds
``commitment``       the signed header of a contribution, which commits its sender
``statement``        survivors, VOID and SPOILED: what is voted on, votes, and the certificates that t of them make
``reveal``           a member's sealed share of the survivors' keys
``rules``            a federation as far as agreement needs it, and a member's own part in an attempt
``survivor_checks``  what a member checks of a statement of survivors before it votes, reveals or applies
``verification``     what a member checks of all else that a server relays: cohorts, settlements, heads of sums
"""
