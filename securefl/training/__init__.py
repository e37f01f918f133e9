"""A client's torch side: rows, base model, PEFT adapters, local loops, fusion.

Rooms of their own:

``rows``            data files, splits and tokens
``tasks``           what is learnt from rows: model, loss and metric
``updates``         ways of training a round's update
``dp_sgd``          rounds whose steps are private for single rows
``mixed_backbones``  members with different base models, and one small adapter beside each

The base model, and the machine that it is on:

``libraries``       import of torch, transformers and PEFT, where somebody is told
``silence``         silence for libraries that talk
``model_files``     where a base model's files are, and their digest
``devices``         device, precision, threads, reproducibility
``backbones``       facts about a base model that follow from its config
``target_modules``  which of its modules are adapted
``pretrained``      its weights and its tokenizer
``base_weights``    its frozen numbers in float32 or bf16
``principal``       leading singular vectors of its adapted weights
``reading_trial``   a few tokens read by a model before anything is pinned
``recomputation``   gradient checkpointing
``models``          base models as a user loads them

Training in a round:

``schedule``        learning rates over all rounds
``settings``        what one client trains, and how
``adapter_bank``    several PEFT adapters on one base model, in and out of numpy
``cores``           a trained core between two frozen factors, as a module
``mixer``           a gate for every weight, which mixes two adapters token by token
``loading``         a trainer's parts before its first round
``kept``            what later rounds depend on, as named arrays and values
``draws``           one client's random choices
``optimiser``       AdamW with those rates, and a limit on gradients
``tail_penalty``    a penalty on the last directions of an adapter
``penalties``       this one, and one on the distance from a round's start
``rank_pruning``    the choice to give these up
``loops``           training of one adapter, evaluation
``round_loop``      one adapter's training for one round
``liveness``        judgement over a whole round of training
``personal``        the personal adapter: rates, rounds, and the one that stays
``private_step``    a private adapter that moves in the steps of the shared one
``shared_training``  the adapter that all clients share: the payload's way, and what moves beside it

Figures:

``layer_fisher``    Fisher information of each layer's adapter
``first_gradient``  the gradient of the base model's weights, from which rounds may begin
``sensitivity``     how much the loss depends on each row and column of a weight
``scoring``         both of these on a client's training rows
``measuring``       metrics of a client's adapters on its test and validation rows
``worth``           an adapter against the base model, row by row
``figure_order``    figures of which less is better
``intervals``       how far figures of few rows can be trusted

After the last round:

``calibration``     the final global head, fitted to its member's label mix
``scales``          two heads over the same features as one, fitted
``trials``          candidates of a fusion, measured
``search``          the choice among them
``few_shot``        FDLoRA's own choice of weights, on few rows
``baselines``       figures that it must beat
``fusion``          the adapter that a client makes of its two
``finish``          a client's work after its last round: calibrated, fused, fine-tuned
``folders``         what stands in a saved adapter's folder, and its way back into a model
``saving``          adapters as PEFT folders

All of it together:

``trainer``         all of it behind one object
``head_answers``    what of it the openings ask the head for

``model_files``, ``settings``, ``worth``, ``scales``, ``trials``, ``search``, ``baselines``, ``rows`` but for
``tokens``, and ``tasks`` as far as they read rows know no torch, so that the lead can check files in a second; a
federation's other packages import the rest only where they train.
"""
