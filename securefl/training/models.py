"""Base models as a user loads them, before ``peft.PeftModel.from_pretrained(base, folder)``.

``load_base_model``  the backbone with a classification head of zeros
``load_tokenizer``   its tokenizer
``layout_of``        the tensors that a federation on it shares
"""

from __future__ import annotations

from securefl.training.pretrained import load_tokenizer
from securefl.training.tasks.classification.model import layout_of, load_base_model

__all__ = ["layout_of", "load_base_model", "load_tokenizer"]
