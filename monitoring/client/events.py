"""What the server says, as parsed JSON."""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]


def is_item(event: Event) -> bool:
    """Whether this waits in the device's inbox until it is acknowledged by its `seq`."""
    return event["type"] == "to_device" or (event["type"].startswith("call.") and "seq" in event)
