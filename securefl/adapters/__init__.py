"""Updates as numbers, in numpy: linear maps from adapters to vectors, and from a mean of such vectors back.

``layout``           which tensors a federation shares, and their shapes
``update``           the values: a client's update, the mean of updates, an adapter
``scaling``          what the product of an adapter's factors is multiplied by
``ownership``        which ranks may be summed when so many collude
``layer_owners``     which layers a round sums, and which members train them
``layer_scores``     layers' scores to integers, and their sums to a prior that layers are drawn from
``frozen``           factors that a round trains against, from public seeds or learned before it
``payloads``         linear maps of an update to a vector, and one table of what each does
``sketching``        a matrix by two random projections, and back
``selection``        which coordinates are encrypted, by sums of sensitivity scores
``state``            the global change, round after round
``outer``            the step along the mean, with or without momentum
``update_norm``      size of the mean update from round to round
``alignment``        factors turned to their product's singular vectors, in the same bits everywhere
``leading``          leading singular vectors of a weight, in the same bits everywhere
``frozen_start``     frozen factors that a state begins from, where they are found and not drawn
``learned_factors``  the factors of one shared adapter, round after round, in the same bits everywhere
``averaged_factors``  the mean of members' factors, each by itself
``rest_of_world``    the mean of all other members' factors
``head_space``       rotated and scaled features, in which a head is computed
``head_statistics``  a member's class shares, class means and within-class covariance
``closed_form``      a head from sums of them
``head_starts``      starts among which a cohort chooses
``redistribution``   the best adapter of a client's own rank, by SVD
``reduction``        the nearest adapter of a smaller rank
``fusion``           the global and the personal adapter as one
``linalg``           decompositions with fixed signs
``seeding``          reproducible generators

Nothing here knows torch, ciphertexts or the network. Weights, the grid and encryption are ``aggregation``'s.
"""
