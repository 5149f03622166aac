"""Reads, enhances and writes one picture with its maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from hyperguide.enhancer import Dial, Enhancer
from hyperguide.errors import HyperguideError
from hyperguide.inference.dials import resized
from hyperguide.picture_files import (
    NO_METADATA,
    Metadata,
    check_size,
    decode_picture,
    encode_kernel,
    encode_map,
    encode_picture,
    false_color,
)
from hyperguide.result import Result

from .blind import KernelSearch, search_kernel, why_unchanged
from .files import LOCAL, Files, Stamp
from .jobs import Job


@dataclass(frozen=True)
class EnhanceOptions:
    """What the user set for all pictures: the dials, and how results are written.

    mask: shape (H, W), multiplies the strength; None leaves it unchanged.
    guidance: None lets the network predict it.
    kernel: None where there is no blur.
    quality: of JPEG and WebP files; see `write_picture`.
    """

    strength: float
    mask: np.ndarray | None
    guidance: Dial | None
    guidance_scale: float
    kernel: np.ndarray | KernelSearch | None
    quality: int | None = None


@dataclass(frozen=True)
class Picture:
    """A picture as read, with its metadata.

    source: the state of its file before it was read.
    """

    job: Job
    pixels: np.ndarray
    metadata: Metadata
    source: Stamp | None

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return self.pixels.nbytes


@dataclass(frozen=True)
class Enhanced:
    """An enhanced picture to write, and notes for the user so far.

    kernel: as estimated; None if none was.
    """

    result: Result
    metadata: Metadata
    notes: list[str]
    source: Stamp | None
    kernel: np.ndarray | None = None


class Records(Protocol):
    """Records the pictures of a run that were written."""

    def add(self, job: Job, before: Stamp) -> None:
        """Record that the files of a job were written, and its source's state before that."""
        ...


@dataclass(frozen=True)
class Work:
    """The steps for each picture: read, enhance, write. Thread-safe.

    may_replace: whether the files of a job may be overwritten.
    """

    enhancer: Enhancer
    dials: EnhanceOptions
    may_replace: Callable[[Job], bool]
    files: Files = LOCAL
    journal: Records | None = None

    def read(self, job: Job) -> Picture:
        """Read a job's picture. Raises HyperguideError, also if its files may not be written."""
        self._refuse_existing(job)
        source = self.files.stamp(job.source)
        content = self.files.read(job.source)
        pixels, metadata = decode_picture(content, job.source, self.enhancer.max_memory)
        check_size(job.output, pixels.shape)
        return Picture(job, pixels, metadata, source)

    def enhance(self, picture: Picture, report: Callable[[float], object]) -> Enhanced:
        """Enhance a picture; `report` is that of `Enhancer.__call__`."""
        notes: list[str] = []
        size = picture.pixels.shape[0], picture.pixels.shape[1]
        strength: Dial = self.dials.strength
        if self.dials.mask is not None:
            strength = strength * _fit("mask", self.dials.mask, size, notes)
        guidance = self.dials.guidance
        if isinstance(guidance, np.ndarray):  # the enhancer's warnings would not name the call
            guidance = _fit("guidance map", guidance, size, notes)
        kernel, found, unchanged = self.dials.kernel, None, None
        try:
            if isinstance(kernel, KernelSearch):
                estimate = search_kernel(self.enhancer, picture.pixels, kernel.size)
                kernel = found = estimate.kernel
                unchanged = why_unchanged(estimate, picture.job.source)
            if unchanged is not None:
                notes.append(unchanged)
                # The map, if wanted, is that of the picture as it is.
                kernel, strength = None, strength if picture.job.maps else 0.0
            result = self.enhancer(
                picture.pixels,
                strength=strength,
                guidance=guidance,
                guidance_scale=self.dials.guidance_scale,
                kernel=kernel,
                with_map=bool(picture.job.maps),
                report=report,
            )
        except HyperguideError as error:  # the message names no file
            raise HyperguideError(f"{picture.job.source}: {error}") from error
        if unchanged is not None:
            result = replace(result, image=picture.pixels)
        return Enhanced(result, picture.metadata, notes, picture.source, found)

    def write(self, job: Job, enhanced: Enhanced) -> list[str]:
        """Write the files of a job. Returns notes for the user.

        The picture is written last: if it exists, its maps do too, and if it replaces its source,
        nothing is left to do.
        """
        notes, result = list(enhanced.notes), enhanced.result
        self._prepare(job)
        if job.maps and result.guidance is not None:
            meaning = self.enhancer.info.guidance
            self._write(job.maps[0], encode_map(result.guidance, meaning))
            self._write(job.maps[1], false_color(result.guidance, meaning))
        elif job.maps:
            notes.append(f"No map of {job.source} was written: at strength 0 none is computed.")
        if job.kernel is not None and enhanced.kernel is not None:
            self._write(job.kernel, encode_kernel(enhanced.kernel))
        quality = self.dials.quality
        notes += self._write(job.output, result.image, enhanced.metadata, quality)
        if self.journal is not None and enhanced.source is not None:
            self.journal.add(job, enhanced.source)
        return notes

    def _refuse_existing(self, job: Job) -> None:
        replace = self.may_replace(job)
        for path in job.writes:
            self.files.refuse_existing(path, replace)

    def _prepare(self, job: Job) -> None:
        """Make a job's folders, after checking again that its files may be written."""
        for path in job.writes:
            self.files.prepare(path)
        self._refuse_existing(job)

    def _write(
        self,
        path: Path,
        picture: np.ndarray,
        metadata: Metadata = NO_METADATA,
        quality: int | None = None,
    ) -> list[str]:
        data, lost = encode_picture(path, picture, metadata, quality)
        self.files.write(path, data)
        return lost


def _fit(what: str, values: np.ndarray, size: tuple[int, int], notes: list[str]) -> np.ndarray:
    """A mask or map resized to the picture; adds a note if its size differed."""
    if values.shape == size:
        return values
    values, note = resized(what, values, size)
    notes.append(note)
    return values
