"""Tasks: what is learnt from rows, one folder or file each. Nothing outside knows what a label is.

``base``            the protocols that a task satisfies, and the metric
``model``           the form of every task's model
``own_metrics``     figures by functions of whoever starts a member
``head``            its part in the openings: rows of the head by class, or none
``table``           a task's columns, terms, reading of rows and model, by its section or its terms
``classification``  one label for each text

To add a task (a causal language model, say): a section of ``[task]`` and its terms in ``config`` and ``protocol``, one
file or folder here, and a case in each function of ``table``. The file holds

- a ``RowTask``: which columns it reads (``prompt`` and ``completion``, no strata, so that hold-outs are drawn from all
  rows alike), and examples of them with no targets yet;
- a ``Task``: ``tokenise`` applies the tokenizer's chat template and sets targets to the next token where an answer
  stands and to ``tokens.IGNORED`` elsewhere; the layout has no heads and ``TaskModel.head_name`` stays None;
- a ``TaskModel``: ``loss`` is the mean over the batch's answer tokens, ``outcomes`` a row's summed loss and number of
  answer tokens, from which ``metric`` makes the perplexity (``smaller_is_better``), with minus a row's mean loss as
  its score; the baseline is the metric of the model as it is.
"""
