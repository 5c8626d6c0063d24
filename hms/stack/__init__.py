"""The driver of the Pulumi program: calls pulumi, makes a new stack's secrets, reads the Inventory, says why not.

May import: hms.
"""

from hms.stack.home import default_environment
from hms.stack.pulumi_stack import PulumiStack

__all__ = ["PulumiStack", "default_environment"]
