"""A client's torch side: data, base model, PEFT adapters, local loops, fusion.

``recipes``        methods as rows of choices
``libraries``      import of torch, transformers and PEFT, where somebody is told
``model_files``    where a base model's files are, and their digest
``tables``         data files as columns of texts
``csv_rows``       rows of csv and tsv files
``json_rows``      rows of jsonl files
``parquet_rows``   rows of parquet files
``text_file``      text files opened: gzip, encoding, byte-order mark
``cells``          what a cell may be, and its text
``row_errors``     sentences about files, columns and rows
``splits``         one file's rows dealt out to clients, and hold-outs
``client_rows``    which rows are a client's, and what each is for
``data``           a client's own rows as texts and labels
``labels``         names of the classes, and those that look alike
``survey``         what the lead learns from the data files
``overview``       what a person is shown of the data
``tokens``         texts to batches
``devices``        device, precision, threads, reproducibility
``quiet``          silence for libraries that talk
``backbones``      facts about a base model that follow from its config
``target_modules`` which of its modules are adapted
``models``         the base model with its pooled classification head
``fitting``        a federation's choices held against its base model
``survey``         what the lead pins about the data of all
``drafting``       from a configuration to the federation that it describes
``settings``       what one client trains, and how
``adapter_bank``   several PEFT adapters on one base model, in and out of numpy
``cores``          a trained core between two frozen factors
``changes``        what a round changed, as factors
``loops``          training of one adapter, evaluation
``liveness``       judgement over a whole round of training
``sensitivity``    how much the loss depends on each row and column of a weight
``probe``          the frozen encoder with a head of its own: what adapters must beat
``worth``          an adapter against the base model, row by row
``fusion``         how much of each adapter a client uses
``saving``         adapters as PEFT folders
``trainer``        all of it behind one object

``recipes``, ``model_files``, ``worth`` and all from ``tables`` to ``overview`` know no torch, so that the lead can
check files in a second; a federation's other packages import the rest only where they train.
"""
