"""One label for each text, or pair of texts.

``labels``      names of the classes, and those that look alike
``rows``        columns, and labels to class numbers
``model``       a pooled feature of the backbone, and a linear head of zeros
``own_class``   the classifier that transformers has for a model, its last layer as the head
``figures``     accuracy, F1, MCC, calibration and others by name
``metric``      the figures that a federation asks for
``features``    pooled features of rows, read once
``label_variance``  length of the steps of a member of few labels
``class_head``  rows of the head by class: statistics, adjusted loss, own rows
``home``        rows of classes that are not shared
``trial``       a short trial of a start of the head
``probe``       the frozen backbone with a head of its own: what adapters must beat
``task``        all of it behind the protocol

Neither ``labels`` nor ``rows`` loads torch.
"""
