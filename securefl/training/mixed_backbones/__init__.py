"""Members with different backbones, and one small adapter of one shape beside each of them (pFedLoRA, 2310.13283).

``adapter_layout``    the shared adapter's tensors, from two numbers and without a model
``shared_adapter``    the adapter as a module: a member's own width map, the low-rank part, the classes
``paired_model``      a member's own classifier with the shared adapter beside it, and the losses of both phases
``private_rank``      room for the rank of a member's private LoRA in its own model
``backbone_trainer``  a member's rounds: its own model first, the shared adapter then
``paired_folder``     what a member saves, and its way back

The design::

    h   pooled features of the member's backbone (d_k), which its own LoRA adapts; to unit root mean square
    u   P_k h, likewise (w)         P_k (w, d_k) is the member's own, and never sent
    v   u + s B A u                 A (r, w), B (w, r): shared
    z   W v + b                     W (C, w), b (C,): shared, zeros at the start

The member answers with the mean of the probabilities of z and of local(h), a linear head of its own. Only B A, W and b
travel, encrypted: the layout is theirs, so it follows from w and C and from no model. P_k starts from orthonormal rows
that depend on the federation's seed and d_k alone, so that backbones of one family and width start from one space; it
has a gradient from round 2 on, when the classes' rows are no longer zero.

A round has two phases of equally many steps. 1. The shared adapter is frozen; the member's LoRA, its head and P_k are
trained on mu * loss(z) + (1 - mu) * loss(local). 2. All of these are frozen; A, B, W and b are trained on loss(z), from
the round's start, and their change is the update.

Chosen on validation rows of HWU64 (4 members, Dirichlet 0.5, two seeds, 300 training rows each, frozen MiniLM of 6, 3
and 2 layers and a random BERT, heads and adapter alone trained): the adapter's answer apart, averaged as probabilities,
was 0.5 to 1.3 points above training alone for the steps of both phases; logits that are added, with the second phase
trained on their sum, 1.2 to 2.2 points below it at width 128 and a random start of W.

Measured on test rows, LoRA and all, 255 training rows each, 6 rounds, the mean of four members: seed 7, 70.1 % with the
shared adapter and 69.5 % alone; seed 8, 69.2 and 65.4 % (``benchmarks/mixed_backbones.py``); with other draws of the
rows 69.2 and 68.2 %, 67.1 and 65.4 %. Alone is the best round by validation rows and has twice the steps on the own
model. Two seeds and about 270 test rows a member do not tell such gains from chance for certain.

A member's own model is trained through a private LoRA on its backbone, of the member's own rank and target modules, not
as a whole: several models' worth of AdamW would cost each member more memory than the model, and the column *alone*
(the same LoRA and head without the shared adapter, for the steps of both phases) then needs no second backbone.

Could not be verified of the paper: the exact role of mu (it is a key here), the adapter's form behind the features,
the answer at inference (here the mean of both probabilities), and the order of the phases in the first round.
"""
