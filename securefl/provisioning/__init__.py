"""From a federation's TOML file to the members' folders.

``file_names``     names of the files and folders that are made
``data_terms``     facts of the data that lies on this machine: labels, the cap of weights, rows of every client
``data_ranks``     ranks that follow the volume of that data
``data_overview``  the same in words, for a person
``answer_fit``     rows of a language model held against its longest text
``model_fit``      a federation's choices held against its base model
``draft``          everything that is pinned, without what is drawn at random
``preview``        the draft with zeros in the place of keys, for plans
``keys_file``      the files of a member's keys
``dealing``        keys between members, drawn for those whose keys the lead makes
``own_keys``       keys that a member makes itself, and its public request
``dealt_files``    files in which keys reach such a member
``rotation_deals`` keys of a rotation, dealt to members that have theirs already
``provision``      keys, certificates, and a folder for each member
"""
