"""Worth of the adapters of a federation: a suite of data sets, splits and recipes, and bars to hold them against.

``suite``           places and recipes; a cell is one combination
``suites``          the suites there are
``cohorts``         ranks of a cell's clients
``request``         a run's cells, and what they have in common
``drawn_rows``      rows of a cell, drawn with the seed
``cell_options``    its ``FED.toml``, with keys that tuning sets
``sites``           its clients in one process
``cell``            one cell, run and measured in a process of its own
``central``         the training without a federation that it is compared with
``local``           each client's training alone
``measurement``     messages of a measured cell
``code_version``    version of the code that figures come from
``cell_files``      finished cells on disk
``cell_pool``       processes of cells, a few at a time
``time_left``       the time that a run still needs
``benchmark``       the cells of a suite, those that are not finished run
``rate_search``     learning rates of all recipes, by one budget
``rates``           their file
``paired``          differences on the same rows, and their standard errors
``cell_figures``    federations beside central trainings
``bars``            what is promised of one federation's adapters
``recipe_figures``  recipes beside each other
``targets``         rounds to a target
``equal_bytes``     two recipes at equal bytes
``recipe_bars``     what is promised between recipes
``where_measured``  machines of a run's cells
``report``          the whole run, for programs
``recipe_json``     recipes beside each other, for programs
``tables``          the whole run, for people
``recipe_tables``   recipes beside each other, for people
``plot``            the run as a picture
``recipe_plot``     recipes beside each other as a picture
"""
