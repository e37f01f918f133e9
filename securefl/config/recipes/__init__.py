"""Recipes: named combinations of choices, one file each, in one table.

``choices``    ``[recipe]`` and ``[fusion]``, the choices that have no section of their own elsewhere
``row``        what a recipe is made of
``default``    the product's own
``lean``       the product's own with little to send
``products``   changes of products with capped weights: our own, after FlexLoRA
``literal``    sections that rows of papers have in common
``fedit``      FedIT
``hetlora``    HetLoRA
``fedsa``      FedSA-LoRA, the worked example of CONTRIBUTING.md
``flexlora``   FlexLoRA
``hlora``      HLoRA
``ffa``        FFA-LoRA
``rolora``     RoLoRA
``fedsvd``     FedSVD
``fdlora``     FDLoRA
``pf2lora``    PF2LoRA, of first order
``fedalt``     FedALT
``fed_hello``  after Fed-HeLLo
``ravan``      Ravan
``she_lora``   after SHE-LoRA
``pfedlora``   after pFedLoRA, for clients with different base models
``catalogue``  all rows by name, and the filling of a federation file from its row

A new recipe is one file here, whose docstring says what of its paper could not be verified, and one line in
``catalogue``.
"""
