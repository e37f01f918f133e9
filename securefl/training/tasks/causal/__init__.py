"""Causal language models: answers to prompts, of which only the answers' tokens count in the loss.

``dialogues``      rows of a data file: conversations, prompts with completions, instructions
``prompts``        a row as the text that the model reads, and the characters of its answers in it
``answer_tokens``  texts to token ids, and targets where an answer stands
``model``          a model of transformers with its own head, which stays as it is
``writing``        answers that a model writes, token by token
``rouge``          likeness of a written answer and the row's
``answer_loss``    the metric
``task``           the task

To be read in this order. ``dialogues`` does without torch.
"""
