"""How connectors say that the other side failed them.

What belongs here: the one error type that ends a visit to a source. What does not: faults of a single item (they are
plain `Fault`s) and any text of a client library, which may name users, hosts or worse.
"""

from __future__ import annotations

from warehouse.errors import Fault


class Unreachable(Fault):
    """The other side does not answer or does not let us in: asking it for the next item now makes no sense."""
