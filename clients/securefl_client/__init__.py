"""One member of a federation: its folder, its connection, its training.

``folder``          a member's folder on disk, read when it starts
``process``         a member's part in a federation, from joining to its result
``member``          the same for a model and data of a member's own: ``securefl.Member``
``inbox``           announcements of the server, collected while the member works
``rounds``          the work of a round, timed and recorded
``side``            what a member does beside the sum
``trainer_side``    a side with a model of the federation's kind
``backbone_side``   a side with a base model of the member's own, and an adapter beside it that all share
``reported_figures``  intervals of a metric's figures, as a result has them
``round_figures``   a round's figures by the names under which events tell them
``trainer``         from a folder to its trainer
``validation_history``  which round was the best, and if the last is clearly worse
``learner_side``    a side with a learner of the member's own
``learner``         learners, and the check of what they give
``phases``          the stopwatch
``growth``          a warning where mean updates grow without end
``outbox``          a contribution on its way out
``aggregate_file``  an aggregate on its way in
``budget_store``    the files of a privacy budget, which outlive runs
"""
