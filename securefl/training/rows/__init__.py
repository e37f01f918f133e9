"""A client's rows: data files, splits, and tokens. No row's meaning is known here: a task says which columns it reads.

``cells``         what a cell may be, and its text
``row_errors``    sentences about files, columns and rows
``text_file``     text files opened: gzip, encoding, byte-order mark
``csv_rows``      rows of csv and tsv files
``json_rows``     rows of jsonl and json files
``parquet_rows``  rows of parquet files
``saved_sets``    rows of folders that datasets saved
``raw_rows``      rows as they stand in a file, whatever is read of them
``tables``        data files as columns of texts
``columns``       the columns that a task needs
``splits``        one file's rows dealt out to clients, and hold-outs
``client_rows``   which rows are a client's, and what each is for
``persons``       at most so many training rows of one person
``examples``      rows as a task trains on them
``client_data``          a client's own rows as examples
``tokens``        examples to token ids, token ids to batches; the only module that needs torch
"""
