"""Saved folders of adapters: what stands in them, and their way back into a model.

``form``      the plain class that a folder belongs on, and where its head stands
``task_file`` ``task.json``: what a folder says of itself
``card``      ``README.md``: the same for people, with the code that loads the folder
``answer_code`` the code of a language model's card
``tensors``   the folder's numbers as the values of an adapter
``inputs``    rows to measure it on, texts to ask it about
``bases``     the base model that it belongs on, found and checked
``reader``    the folder as a model that computes
``prediction`` labels or answers that the model gives to texts
``exports``   the folder in other forms: of a smaller rank, merged, for a hub
``merging``   its adapter added to the base model's weights

All but ``reader``, ``prediction`` and ``merging`` do without torch.
"""
