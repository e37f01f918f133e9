"""A federation as its TOML file describes it.

``load``        files to validated objects
``syntax``      files to tables, and what to write where a file is no TOML
``paths``       paths that count from the file's folder, and ``~``
``moved``       keys of earlier versions, each with its place of today
``foreign_keys``  keys of transformers and its kin, each with what says the same here
``trained_sides``  sides of a shared adapter that rounds train, by turns
``values``      values as people write them
``names``       names and addresses
``section``     the base of every section
``model``       ``[model]`` and ``[lora]``
``task``        ``[task]``, a tagged union
``data``        ``[data]``, with ``split`` as a tagged union
``training``    ``[training]``
``personal``    ``[personal]``
``private_part``  choices of a private adapter that do not go together
``payload``     ``[payload]``, a tagged union
``aggregation``  ``[aggregation]``
``outer``       ``[outer]``, a tagged union
``head``        ``[head]``
``layers``      ``[layers]``
``recipes``     ``[recipe]`` and ``[fusion]``: methods as rows of one table
``privacy``     ``[privacy]``, a tagged union, and a member's own budget
``encryption``  ``[encryption]`` and ``[grid]``
``cohort``      ``[cohort]``
``rank_mix``    ranks in ``[cohort]`` by a mix
``server``      ``[server]``
``federation``  all of them: a whole ``FED.toml``
``dump``        a configuration as the text of a file that loads to it
``member``      a whole ``client.toml``
``coherence``   choices of one section that do not go with those of another
``privacy_misfits``  choices under which noise would not keep a promise of privacy
``factor_misfits``  choices about whole factors, their penalty and pruned ranks that do not go together
``head_misfits``  choices that do not go with rounds that train the head alone
``unread``      keys that nothing reads under the other choices
``kept_adapter``  choices that go with an adapter that is sent and stays a client's own
``own_backbones``  choices that go with base models of the clients' own
``explain``     what is wrong, in one sentence
``examples``    what a key may hold, with an example to copy
"""

from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation

__all__ = ["FederationConfig", "load_federation"]
