"""One member of a federation: its folder, its connection, its training.

Its start and its way through a federation:

``folder``               a member's folder on disk, read when it starts
``process``              a member's part in a federation, from joining to its result
``member``               the same for a model and data of a member's own: ``securefl.Member``
``inbox``                announcements of the server, collected while the member works
``phases``               the stopwatch

A round with attempts, step by step:

``session``              a member's rounds with attempts: what an announcement asks for, carried out
``driver``               a session's requests carried out, and what a refused one means
``contributing``         steps up to the commitment: advert, training, contribution, packets, header
``packets``              packets from the others: fetched, opened and kept
``voting``               its one vote and its one reveal of an attempt
``summing``              certified sums: fetched, verified, opened, applied; or found to be spoiled
``standing``             what these steps share: journal, keys, ledger, and what is kept of the open attempt
``round_work``           what a session sends and is answered, and the model, data and ledger behind it

What it keeps on disk:

``journal``              what the member promised, written before anybody else can know of it
``outbox_folder``        a contribution on its way out, complete before its first byte leaves
``aggregate_file``       an aggregate on its way in
``round_log``            reports of its rounds, kept beside the journal

Its keys:

``member_rules``         a pinned federation as agreement needs it
``key_shares``           a member's part in shares of one-time keys
``kept_channels``        its keys to the others on disk, which move on round by round
``member_rotation``      its change of keys between rounds: ask, deal, take, go on
``rotation_folder``      files of such a change

Model, data and aggregation behind the session:

``member_work``          its model, data and aggregation as the session asks for them
``watched_aggregation``  needles of its own updates, where a run is watched
``side``                 what a member does beside the sum
``measuring_side``       the half of it that is the same for every trainer
``trainer_side``         a side with a model of the federation's kind
``backbone_side``        a side with a base model of the member's own, and an adapter beside it that all share
``learner_side``         a side with a learner of the member's own
``kept_side``            its private state between rounds, as a file
``trainer``              from a folder to its trainer
``learner``              learners, and the check of what they give

What it tells a person:

``reported_figures``     intervals of a metric's figures, as a result has them
``round_figures``        a round's figures by the names under which events tell them
``validation_history``   which round was the best, and if the last is clearly worse
``bound_warnings``       warnings of what exceeded a bound, with the option that moves it
``growth``               a warning where mean updates grow without end

Budgets of its data, under differential privacy:

``budget_store``         the files of a privacy budget, which outlive runs
``own_rows``             a member's data as its budget knows it
``row_histories``        charges that rows of its data have on them, of all budgets on this machine
``data_budget``          the budget of its data: asked, charged, and told of
``round_charges``        the same as session and training ask for it
``earlier_charges``      what earlier federations have left of the budgets of a planned one
``example_budget``       private rounds, planned from the rows that they train on
"""
