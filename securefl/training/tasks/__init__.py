"""Tasks: what is learnt from rows, one folder or file each. Nothing outside knows what a label is.

``base``            the protocols that a task satisfies, and the metric
``model``           the form of every task's model
``own_metrics``     figures by functions of whoever starts a member
``head``            its part in the openings: rows of the head by class, or none
``table``           a task's columns, terms, reading of rows and model, by its section or its terms
``classification``  one label for each text
``causal``          answers to prompts, by a causal language model

To add a task: a section of ``[task]`` and its terms in ``config`` and ``protocol``, one file or folder here, and a case
in each function of ``table``. The file holds

- a ``RowTask``: which columns it reads, the same for every file or by the form that a file has (``columns.RowForm``),
  the column by whose values rows are held out (or none), and examples of them, with targets or with none yet;
- a ``Task``: ``tokenise`` sets targets, as ``causal`` does to the next token where an answer stands and to
  ``tokens.IGNORED`` elsewhere; the layout has no heads where ``TaskModel.head_name`` stays None;
- a ``TaskModel``: ``loss`` of a batch, and ``outcomes`` of rows, from which ``metric`` makes its figures; ``reading``
  adds what takes long and is worth it in reports alone; the baseline is the metric of the model as it is, or with a
  head that the task fits.
"""
