"""The devices of the person who asks."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response

from app.domain.ids import DeviceId
from app.errors import NotFound
from app.http.auth import DeviceName
from app.http.base import answer, body, caller
from app.http.contract import operation
from app.services.accounts import Accounts
from app.services.devices import Devices, Shown


class Renaming(msgspec.Struct, forbid_unknown_fields=True):
    """Body of rename."""

    name: DeviceName


class OwnDevices(msgspec.Struct):
    """Every device of the caller that is signed in."""

    devices: list[Shown]


def blueprint(accounts: Accounts, devices: Devices) -> Blueprint:
    """`/api/devices…`"""
    bp = Blueprint("devices", __name__, url_prefix="/api/devices")

    @bp.get("")
    @operation(gives=OwnDevices)
    def of_caller() -> Response:
        """The caller's devices that are signed in."""
        return answer(OwnDevices(devices.of_caller(caller(accounts))))

    @bp.patch("/<id:device>")
    @operation(takes=Renaming, status=204, errors=(NotFound,))
    def rename(device: int) -> Response:
        """Give a device another name."""
        identity = caller(accounts)
        devices.rename(identity, DeviceId(device), body(Renaming).name)
        return Response(status=204)

    @bp.delete("/<id:device>")
    @operation(status=204, errors=(NotFound,))
    def revoke(device: int) -> Response:
        """Sign a device out for good."""
        devices.revoke(caller(accounts), DeviceId(device))
        return Response(status=204)

    return bp
