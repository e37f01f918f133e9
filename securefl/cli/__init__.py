"""Commands of the program ``securefl``: one file a command, and what the commands share.

``main``           the program: its commands, and the one place where an error becomes a sentence
``init``           ``securefl init``: the members' folders
``member_keys``    ``securefl keys``: keys that a member makes itself
``member``         ``securefl server`` and ``securefl client``: one process of a federation
``run``            ``securefl run``: all of them on this machine
``plan``           ``securefl plan``: what a federation will cost
``status``         ``securefl status``: where a federation stands
``mean_choices``   choices of the mean, in a plan's words
``audit``          ``securefl audit``: whether what a run left behind holds together
``audit_view``     its report as a page shows it
``export``         ``securefl export``: an adapter as a folder of its own
``evaluate``       ``securefl evaluate``: a saved adapter's metric on rows of one's own
``predict``        ``securefl predict``: labels that a saved adapter gives to texts
``bench``          ``securefl bench``: costs and gains beside those of doing without, and of others
``quality``        the work of ``securefl bench quality``
``events``         one process's events, to a person or to ``securefl run``
``live``           progress while a run works
``summary``        what a run shows at its end
``gains_table``    what each client gained, in that summary
``curve_table``    the learning curve in that summary
``data_overview``  the table of every client's rows
``layer_table``    the table of every layer's owners
``privacy_table``  epsilon, noise and cosine, in a plan
``options``        options that several commands have
``tables``         the one style of all tables
``output``         the consoles, and the one writer of results as JSON

Commands import what they need when they run, so that ``--help`` needs neither torch nor gRPC.
"""
