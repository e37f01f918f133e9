"""Worth of the adapters of a federation: a suite of data sets, splits and recipes, and bars to hold them against.

``suite``         data sets, splits and recipes; a cell is one combination
``drawn_rows``    rows of a cell, drawn with the seed
``cell_options``  its ``FED.toml``, with keys that tuning sets
``sites``         its clients in one process
``cell``          one cell, run and measured in a process of its own
``alone``         every client's training by itself
``central``       the training without a federation that it is compared with
``measurement``   messages of a measured cell
``paired``        differences on the same rows, and their standard errors
``code_version``  version of the code that figures come from
``cell_files``    finished cells on disk
``benchmark``     the cells of a suite, a few at a time
``cell_figures``  federations beside central trainings
``bars``          what is promised
``report``        the whole run, for programs
``tables``        the same for people
``plot``          the same as a picture
"""
