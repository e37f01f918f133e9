"""A model's own classifier in transformers: ``AutoModelForSequenceClassification``, its last layer as the head.

The rule kept here: that last linear layer is all that a pretrained model may lack. Any other layer without weights
(such as the ``pre_classifier`` of DistilBERT's class) would be random at every member, and is refused by name.

The class pools as it likes; what its last layer reads is the feature. Classes of decoders find a text's last token by
the padding's id, so that padding here is filled with the id that the class looks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from securefl.adapters.layout import TensorKind, TensorSpec
from securefl.errors import ConfigError, ModelError
from securefl.training.backbones import Skeleton, plain_skeleton, supported_attention, unusable
from securefl.training.devices import Attention
from securefl.training.folders.form import FolderForm
from securefl.training.pretrained import load_tokenizer
from securefl.training.silence import silent_transformers
from securefl.training.tasks.classification.model import HEAD, PooledClassifier, zero_head

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

AUTO_CLASS = "AutoModelForSequenceClassification"
_SAVED_BY_PEFT = ("classifier", "score")
"""Ends of names of modules that PEFT saves whole for SEQ_CLS, whatever else it is told."""
_NAMES_SHOWN = 4


class OwnClassifier(PooledClassifier):
    """A classifier of transformers: everything before its last layer gives the feature, and that layer is the head.

    Args:
        network: The classifier, its last layer still in place.
        head_path: That layer's path.

    Attributes:
        network: The classifier, its last layer passed over.
        classifier: The head, zero at the start; with a bias where the class has one.
    """

    def __init__(self, network: PreTrainedModel, head_path: str) -> None:
        head = network.get_submodule(head_path)
        assert isinstance(head, nn.Linear)
        backbone: PreTrainedModel = getattr(network, network.base_model_prefix)
        super().__init__(backbone, hidden=head.in_features, labels=head.out_features, pooling="last")
        self.classifier = _zero_head(head)
        self.head_path = head_path
        network.set_submodule(head_path, nn.Identity())
        # After the backbone, so that the names of its modules, which both have, are the backbone's.
        self.network = network

    def features(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Inputs of the last layer (rows, hidden), float32."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        pad = self.network.config.pad_token_id
        tokens = input_ids if pad is None else input_ids.masked_fill(attention_mask == 0, pad)
        features: Tensor = self.network(input_ids=tokens, attention_mask=attention_mask, **types).logits
        return features.float()

    def new_head(self) -> nn.Linear:
        """Make a head of zeros, with a bias where the class has one."""
        return _zero_head(self.classifier)

    @property
    def form(self) -> FolderForm:
        """Form of its adapters' folders: the class itself, the head within it."""
        names = [f"{HEAD}.{name}" for name, _ in self.classifier.named_parameters()]
        return FolderForm(
            task_type="SEQ_CLS",
            auto_class=AUTO_CLASS,
            prefix=f"{self.network.base_model_prefix}.",
            saved_module=self.head_path.partition(".")[0],
            head={name: name.replace(HEAD, self.head_path, 1) for name in names},
            pad_token_id=self.network.config.pad_token_id,
        )

    def beside_head(self) -> Mapping[str, Tensor]:
        """Give pretrained tensors of the modules that PEFT saves whole, by their names in the class."""
        ends = (*_SAVED_BY_PEFT, self.head_path.partition(".")[0])
        whole = [name for name, _ in self.network.named_modules() if name.endswith(ends)]
        return {
            name: value
            for name, value in self.network.state_dict().items()
            if any(name.startswith(f"{module}.") for module in whole)
        }


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A classifier of transformers without its numbers.

    Attributes:
        network: Its modules, on torch's meta device.
        head_path: The path of its last linear layer.
    """

    network: PreTrainedModel
    head_path: str

    @property
    def head(self) -> nn.Linear:
        """The last linear layer."""
        head = self.network.get_submodule(self.head_path)
        assert isinstance(head, nn.Linear)
        return head

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The head's tensors, as a layout names them."""
        labels, hidden = self.head.weight.shape
        weight = TensorSpec(f"{HEAD}.weight", labels, hidden, TensorKind.HEAD)
        bias = TensorSpec(f"{HEAD}.bias", labels, 1, TensorKind.HEAD)
        return (weight,) if self.head.bias is None else (weight, bias)


def class_of(skeleton: Skeleton, labels: int) -> ClassFacts:
    """The classifier that transformers has for a backbone.

    Raises:
        ModelError: if it has none, or none that ends in a linear layer.
    """
    path = skeleton.config.name_or_path
    try:
        network = plain_skeleton(_config(skeleton.config, labels), AUTO_CLASS)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise unusable(f"the {AUTO_CLASS} of {path}", error) from None
    inner = f"{network.base_model_prefix}."
    last = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == labels and not name.startswith(inner)
    ]
    if not last or network.base_model is network:
        raise ModelError(
            f"the classifier of a {skeleton.config.model_type} model does not end in a linear layer",
            where="task.head",
            hint='set it to "pooled"',
        )
    return ClassFacts(network, last[-1])


def check_class(skeleton: Skeleton, labels: int) -> None:
    """Refuse a class with layers that the model's files have no weights for, beside its last one.

    Raises:
        ConfigError: if there are such layers; it names them.
        ModelError: if transformers has no such class for the model.
    """
    facts = class_of(skeleton, labels)
    _, missing = _from_files(skeleton.config, labels, device_map="meta")
    layers = _unpretrained(missing, facts.head_path)
    if layers:
        raise _refusal(skeleton.config.model_type, layers)


def hollow(skeleton: Skeleton, labels: int) -> OwnClassifier:
    """The classifier without numbers."""
    facts = class_of(skeleton, labels)
    return OwnClassifier(facts.network, facts.head_path)


def loaded(skeleton: Skeleton, path: str, labels: int, *, attention: Attention) -> OwnClassifier:
    """The classifier with pretrained weights and a head of zeros, in float32 on the CPU, every parameter frozen.

    Raises:
        ConfigError: see ``check_class``.
        ModelError: if the model cannot be loaded, or no token can fill a decoder's rows.
    """
    facts = class_of(skeleton, labels)
    network, missing = _from_files(
        skeleton.config,
        labels,
        dtype=torch.float32,
        attn_implementation=supported_attention(skeleton.config, attention),
    )
    layers = _unpretrained(missing, facts.head_path)
    if layers:
        raise _refusal(skeleton.config.model_type, layers)
    if network.config.pad_token_id is None:
        network.config.pad_token_id = padding_id(load_tokenizer(path), path)
    network.requires_grad_(False)
    network.train(False)
    return OwnClassifier(network, facts.head_path)


def padding_id(tokenizer: PreTrainedTokenizerBase, path: str) -> int:
    """The token that fills rows where a model's config names none: the tokenizer's, else one that ends texts.

    Raises:
        ModelError: if the tokenizer has neither.
    """
    for token in (
        tokenizer.pad_token_id,
        tokenizer.eos_token_id,
        tokenizer.bos_token_id,
        tokenizer.unk_token_id,
    ):
        if isinstance(token, int):
            return token
    raise ModelError(
        f"{path} has no token that could fill rows, by which its classifier finds the end of a text",
        where="task.head",
        hint='set it to "pooled", or give the tokenizer a pad_token',
    )


def _folder(config: PreTrainedConfig) -> str:
    """The folder that a config was read from."""
    return str(config.name_or_path)


def _config(config: PreTrainedConfig, labels: int) -> PreTrainedConfig:
    from transformers import AutoConfig

    own: PreTrainedConfig = AutoConfig.from_pretrained(
        _folder(config), num_labels=labels, local_files_only=True, trust_remote_code=False
    )
    return own


def _from_files(
    config: PreTrainedConfig, labels: int, **options: object
) -> tuple[PreTrainedModel, frozenset[str]]:
    """The class with the files' weights, and the names of tensors that they do not have.

    Raises:
        ModelError: if the files cannot be read.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification

    try:
        with silent_transformers():
            network, report = AutoModelForSequenceClassification.from_pretrained(
                _folder(config),
                config=_config(config, labels),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **options,
            )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise unusable(_folder(config), error) from None
    return network, frozenset(report["missing_keys"])


def _unpretrained(missing: frozenset[str], head_path: str) -> list[str]:
    """Layers, but for the head, that the files have no weights for."""
    return sorted({name.rpartition(".")[0] for name in missing if not name.startswith(f"{head_path}.")})


def _refusal(kind: str, layers: list[str]) -> ConfigError:
    shown = ", ".join(layers[:_NAMES_SHOWN]) + (", ..." if len(layers) > _NAMES_SHOWN else "")
    return ConfigError(
        f"the model's files have no weights for {shown}, which the classifier of a {kind} model has before its last "
        "layer",
        where="task.head",
        hint='every member would begin with other random ones: set it to "pooled", or take a model that has them',
    )


def _zero_head(like: nn.Linear) -> nn.Linear:
    head = zero_head(like.in_features, like.out_features)
    if like.bias is None:
        head.register_parameter("bias", None)
    return head
