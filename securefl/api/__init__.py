"""Functions of the public Python API that put rooms together; ``securefl`` itself names all of it.

``adapters``     base models and adapters, for whoever serves them
``federations``  the members' folders, the forecast, and the tensors of a model of one's own
``event_logs``   events as figures in TensorBoard or MLflow
``trackers``     the two of them, imported when they are used
"""
