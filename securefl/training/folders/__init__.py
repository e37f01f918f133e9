"""Saved folders of adapters: what stands in them, and their way back into a model.

``form``      the plain class that a folder belongs on, and where its head stands
``interval``  the range of a share that is counted on few rows
``task_file`` ``task.json``: what a folder says of itself
``card``      ``README.md``: the same for people, with the code that loads the folder
``tensors``   the folder's numbers as the values of an adapter
``reader``    the folder as a model that computes

All but ``reader`` do without torch.
"""
