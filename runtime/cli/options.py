"""Types of option values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import click

from hyperguide.engines import DEVICES, Device, parse_device
from hyperguide.errors import HyperguideError
from hyperguide.memory import parse_bytes


class DeviceType(click.ParamType):
    """The name of a device."""

    name = DEVICES

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Device:
        """Parse the name of a device."""
        if isinstance(value, Device):
            return value
        try:
            return parse_device(str(value))
        except HyperguideError as error:
            self.fail(str(error), param, ctx)


class NameType(click.ParamType):
    """The name of a file or folder. An empty one, as from an unset variable, is an error."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Convert a name to a path."""
        if str(value) == "":
            self.fail("the name is empty", param, ctx)
        return Path(value)


class SourceType(click.ParamType):
    """The name of a file, folder, camera or URL, as it was written. An empty one is an error."""

    name = "source"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check a name."""
        if str(value) == "":
            self.fail("the name is empty", param, ctx)
        return str(value)


class BytesType(click.ParamType):
    """An amount of memory."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse a text like 512M to bytes."""
        try:
            return parse_bytes(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class TileType(click.ParamType):
    """How large pictures are split into tiles."""

    name = "auto | N | off"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["auto"] | None:
        """`auto`, a side in pixels, or None for `off`."""
        text = str(value)
        if text == "auto":
            return "auto"
        if text == "off":
            return None
        if not text.isdecimal() or int(text) == 0:
            self.fail(f"{text!r} is not a number of pixels, nor auto or off", param, ctx)
        return int(text)


class ShapeType(click.ParamType):
    """Height and width of a picture."""

    name = "HxW"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Parse a text like 720x1280 to (height, width)."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not like 720x1280 (HxW)", param, ctx)
        return int(match[1]), int(match[2])
