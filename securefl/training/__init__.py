"""A client's torch side: data, base model, PEFT adapters, local loops, fusion.

``recipes``        methods as rows of choices
``model_files``    where a base model's files are, and their digest
``tables``         jsonl and csv files as columns
``splits``         one file's rows dealt out to clients
``data``           a client's own rows, and what a founder pins about the data
``tokens``         texts to batches
``devices``        device, precision, reproducibility
``models``         the base model with its pooled classification head
``adapter_bank``   several PEFT adapters on one base model, in and out of numpy
``loops``          training of one adapter, evaluation
``probe``          the frozen encoder with a head of its own: what adapters must beat
``fusion``         how much of each adapter a client uses
``saving``         adapters as PEFT folders
``trainer``        all of it behind one object

``recipes``, ``model_files``, ``tables``, ``splits`` and ``data`` know no torch, so that a founder can check
files in a second; a federation's other packages import the rest only where they train.
"""
