"""The option `--device`."""

from __future__ import annotations

from typing import Any

import click

from hyperguide.engines import DEVICES, Device, parse_device
from hyperguide.errors import HyperguideError


class DeviceType(click.ParamType):
    """The name of a device."""

    name = DEVICES

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Device:
        """The device of a name."""
        if isinstance(value, Device):
            return value
        try:
            return parse_device(str(value))
        except HyperguideError as error:
            self.fail(str(error), param, ctx)
