"""How people, devices and conversations are named in keys and signatures: as Matrix does.

Devices sign these names, and the encryption libraries of clients expect their form. Everywhere else ids are integers.
Source: Matrix specification, appendices, "Common identifier format".
"""

from __future__ import annotations

import re

from app.domain.ids import DeviceId, UserId

SERVER_NAME = "messenger"
_USER = re.compile(rf"@([1-9][0-9]{{0,15}}):{SERVER_NAME}")
_DEVICE = re.compile(r"[1-9][0-9]{0,15}")


def user_name(user: UserId) -> str:
    """
    >>> user_name(UserId(12))
    '@12:messenger'
    """
    return f"@{user}:{SERVER_NAME}"


def device_name(device: DeviceId) -> str:
    """
    >>> device_name(DeviceId(34))
    '34'
    """
    return str(device)


def user_of(name: str) -> UserId | None:
    """The id in a person's name; None when it is no such name.

    >>> user_of("@12:messenger"), user_of("@012:messenger"), user_of("@12:elsewhere")
    (12, None, None)
    """
    match = _USER.fullmatch(name)
    return UserId(int(match[1])) if match else None


def device_of(name: str) -> DeviceId | None:
    """The id in a device's name; None when it is no such name.

    >>> device_of("34"), device_of("*")
    (34, None)
    """
    return DeviceId(int(name)) if _DEVICE.fullmatch(name) else None
