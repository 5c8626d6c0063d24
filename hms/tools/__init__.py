"""The outside tools: what the machine has, what can be downloaded, and what is built from pinned Go modules.

`ensure` is the one door: name tools or a group, get a `Toolbox` of paths. The pins are data, in `tools/tools.toml` of
the checkout; what is made is kept in the cache, a folder a pin, and is made once even if two commands ask at once.

May import: hms' nouns.
"""

from hms.tools.catalogue import ALL_TOOLS, CLUSTER_TOOLS, IMAGE_TOOLS, STACK_TOOLS
from hms.tools.install import ensure
from hms.tools.toolbox import Toolbox

__all__ = ["ALL_TOOLS", "CLUSTER_TOOLS", "IMAGE_TOOLS", "STACK_TOOLS", "Toolbox", "ensure"]
