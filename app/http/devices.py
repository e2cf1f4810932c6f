"""The devices of the person who asks."""

from __future__ import annotations

from flask import Blueprint, Response

from app.domain.ids import DeviceId
from app.http.base import caller
from app.services.accounts import Accounts
from app.services.devices import Devices


def blueprint(accounts: Accounts, devices: Devices) -> Blueprint:
    """`/api/devices…`"""
    bp = Blueprint("devices", __name__, url_prefix="/api/devices")

    @bp.delete("/<int:device>")
    def revoke(device: int) -> Response:
        devices.revoke(caller(accounts), DeviceId(device))
        return Response(status=204)

    return bp
