"""D_h and D_tr: batches {y, x, sigma} drawn from pairs, or made on the fly from clean photos.

A batch is a pure function of the seed, its stream and its number: each of its samples has its own
generator. So resuming a run, splitting it among processes and using workers do not change it.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Generator, Tensor

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import read_kernel
from hyperguide.pixels import full_scale
from hyperguide.tasks import Guidance, find_task
from hyperguide.training.losses import luma
from hyperguide.training.preset import Preset, Stage, build
from hyperguide.training.seen_photos import SeenPhotos, spread

from .contents import digest_files
from .crops import draw_window, to_tensor
from .decoding import Decoder, MisfitError, Planes, read_streaks
from .degradations import DEGRADATIONS, Blur, Degradation, Haze, Rain
from .derived_maps import describe
from .hints import draw_hint, draw_scale
from .kernels import on_canvas, read_kernels
from .photos import Photos
from .sample import Sample
from .scenes import Scene, split_held_out
from .sources import find_scenes, silent

Stream = Literal["hyper", "train", "held_out", "probe"]

HELD_OUT_SHARE = 0.05
CACHE_BYTES = 2 << 30
_CHECKED = 3  # scenes per folder whose files are checked against each other before training


@dataclass(frozen=True)
class Batch:
    """The result of one draw.

    names: of the samples' pictures, in order.
    skipped: a sentence for each file that was newly found unreadable.
    mapped: for each sample, whether its guidance is a true map; otherwise it is zeros.
    """

    sample: Sample
    names: tuple[str, ...]
    skipped: tuple[str, ...]
    mapped: tuple[bool, ...]


@dataclass(frozen=True)
class Data:
    """Scenes and how to degrade those that are not pairs, for training and for validation.

    photos: decodes the scenes; its cache and the skipped files are the only state.
    degradations: of each stream.
    channels: planes of the batches, 3 or 1.
    threshold: of the rain region, full scale = 1.
    hints: share of the outer problem's samples whose map is told, see `hints.draw_hint`.
    scales: whether the maps of the outer problem are scaled, see `hints.draw_scale`.
    description: a description of the data for the model file.
    fingerprint: changes when pictures, streak layers or kernels are added or removed; a resume
        compares it.
    files: of the pictures, streak layers and kernels.
    """

    task: str
    train: Sequence[Scene]
    held_out: Sequence[Scene]
    photos: Photos
    degradations: Mapping[Stream, Degradation]
    channels: int
    threshold: float
    description: str
    fingerprint: str
    files: tuple[Path, ...] = ()
    hints: float = 0.0
    scales: bool = False

    @cached_property
    def contents(self) -> str:
        """A digest that changes when a file's content does, see `contents.digest_files`."""
        return digest_files(self.files)

    def draw(
        self,
        stream: Stream,
        number: int,
        stage: Stage,
        seed: int,
        shard: tuple[int, int] = (0, 1),
    ) -> Batch:
        """Batch `number` of a stream; except `skipped`, a pure function of arguments and files.

        stream: `hyper` is D_h, the training pictures that have a map; `train` is D_tr, all
            training pictures; `held_out` those for validation; `probe` is drawn like `hyper`,
            for measurements that must not take batches from the training.
        shard: (rank, world): only the samples rank * B / world .. (rank + 1) * B / world - 1 of
            the batch's B.
        Raises HyperguideError if the batch does not divide by the world, if no picture has a map,
        or if too many cannot be read.
        """
        rank, world = shard
        if stage.batch % world:
            raise HyperguideError(
                f"A batch of {stage.batch} does not divide into {world} processes: "
                "change the preset's batch or the number of processes."
            )
        share = stage.batch // world
        skipped = len(self.photos.skipped)
        samples, names, mapped = [], [], []
        for index in range(rank * share, (rank + 1) * share):
            rng = _generator(seed, stream, number, index)
            scene, planes = self._pick(stream, rng)
            sample = self._sample(planes, scene, stream, stage, rng)
            if self.hints and stream == "train":
                known = self.hints if scene.map_source != "none" else 0.0
                told, trust = draw_hint(sample.guidance, known, rng)
                sample = sample._replace(told=told, trust=trust)
            if self.scales and stream == "train":
                sample = sample._replace(scale=draw_scale(len(sample.degraded), rng))
            samples.append(sample)
            names.append(scene.name)
            mapped.append(scene.map_source != "none")
        joined = Sample(*map(_join, zip(*samples, strict=True)))  # type: ignore[arg-type]
        return Batch(joined, tuple(names), tuple(self.photos.skipped[skipped:]), tuple(mapped))

    def absorb(self, batch: Batch) -> Batch:
        """Count the files that another process skipped; keep only those new here in the batch.

        Raises HyperguideError if too many pictures cannot be read.
        """
        known = len(self.photos.skipped)
        self.photos.skip_all(batch.skipped)
        return replace(batch, skipped=tuple(self.photos.skipped[known:]))

    @cached_property
    def seen(self) -> SeenPhotos:
        """Hashes of the photos, including the held-out ones, because they select the weights.

        Reads all photos, or as many as hashes are kept for.
        """
        scenes = [*self.train, *self.held_out]
        planes = map(self.photos.read, spread(scenes))
        return SeenPhotos.of((found.clean for found in planes if found is not None), len(scenes))

    def decode_all(self) -> None:
        """Decode all pictures if they fit the cache, so that forked processes share them."""
        self.photos.decode_all([*self.train, *self.held_out])

    def record(self) -> dict[str, Any]:
        """Facts about the data for checkpoints and model files, without local paths."""
        bank = len(getattr(self.degradations["train"], "bank", ()))
        return {
            "description": self.description,
            "photos": len(self.train),
            "held_out": len(self.held_out),
            "pairs": sum(scene.is_pair for scene in self.train),
            "streak_layers": bank if self.task == "derain" else 0,
            "kernels": bank if self.task == "deblur" else 0,
            "guidance": self._describe_guidance(),
            "fingerprint": self.fingerprint,
            "contents": self.contents,
        }

    def _describe_guidance(self) -> dict[str, Any]:
        """The sources of the true maps of D_h."""
        rules: dict[str, dict[str, Any]] = {
            "degradation": {"source": "synthetic", "rule": "known from the degradation"},
            "depth": {"source": "pictures", "rule": "distance / largest distance"},
            "picture": {"source": "pictures", "rule": "span the task's range"},
            "region": {"source": "pictures", "rule": "not zero in the rain"},
            "layer": {"source": "streak layers", "rule": "S > tau", "tau": self.threshold},
            "pair": describe(self.task, self.threshold),
        }
        counts = Counter(scene.map_source for scene in self._mapped)
        parts = [rules[source] | {"pictures": count} for source, count in counts.items()]
        return parts[0] if len(parts) == 1 else {"source": "mixed", "parts": parts}

    @cached_property
    def _mapped(self) -> list[Scene]:
        return [scene for scene in self.train if scene.map_source != "none"]

    def _pick(self, stream: Stream, rng: Generator) -> tuple[Scene, Planes]:
        """Draw scenes until one can be read."""
        pools = {"train": self.train, "held_out": self.held_out}
        pool = pools.get(stream, self._mapped)
        if not pool:
            raise HyperguideError(
                "None of the pictures to train on has a map: add some in a folder 'guidance' "
                "beside them."
            )
        while True:
            scene = pool[int(torch.randint(len(pool), (), generator=rng))]
            planes = self.photos.read(scene)
            if planes is not None:
                return scene, planes
            if self.photos.unreadable.issuperset(pool):
                self.photos.refuse()

    def _sample(
        self, planes: Planes, scene: Scene, stream: Stream, stage: Stage, rng: Generator
    ) -> Sample:
        """One crop, every tensor of shape (1, ...)."""
        if scene.is_pair:
            return self._crop_pair(planes, stage, rng)
        degradation = self.degradations[stream]
        height, width = stage.crop + degradation.margin, stage.width + degradation.margin
        window = draw_window(height, width, stage.reduce, rng, stage.least_share)
        photo, depth = planes.clean, None
        if planes.guidance is not None:
            frame = degradation.frame if isinstance(degradation, Haze) else 0
            photo = _inside(photo, frame)
            depth = self._to_map(window.crop(_inside(planes.guidance, frame)))
        clean = self._to_tensor(window.crop(photo))
        return degradation.degrade(clean, depth, rng)

    def _crop_pair(self, planes: Planes, stage: Stage, rng: Generator) -> Sample:
        assert planes.degraded is not None
        window = draw_window(stage.crop, stage.width, stage.reduce, rng, stage.least_share)
        degraded = self._to_tensor(window.crop(planes.degraded))
        guidance = torch.zeros_like(degraded[:, :1])
        if planes.guidance is not None:
            guidance = self._to_map(window.crop(planes.guidance))
        kernel = None
        if planes.kernel is not None:
            turned = planes.kernel[:, ::-1] if window.mirrored else planes.kernel
            kernel = torch.from_numpy(turned.copy())[None, None]
        return Sample(degraded, self._to_tensor(window.crop(planes.clean)), guidance, kernel)

    def _to_map(self, crop: np.ndarray) -> Tensor:
        guidance = _map_tensor(crop, find_task(self.task).guidance)
        if self.task == "dehaze":
            # A crop is its own scene: it cannot show how far away the farthest point outside is.
            guidance = guidance / guidance.max().clamp(min=1e-6)
        return guidance

    def _to_tensor(self, crop: np.ndarray) -> Tensor:
        image = to_tensor(crop)
        return luma(image) if self.channels == 1 else image


def _join(tensors: tuple[Tensor | None, ...]) -> Tensor | None:
    """One field of a batch; None unless all samples have it."""
    known = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(known) if len(known) == len(tensors) else None


def _inside(picture: np.ndarray, frame: int) -> np.ndarray:
    """The picture without `frame` pixels at each side, but at least one pixel."""
    down, right = (min(frame, (length - 1) // 2) for length in picture.shape[:2])
    return picture[down : picture.shape[0] - down, right : picture.shape[1] - right]


def _generator(seed: int, stream: Stream, number: int, index: int) -> Generator:
    """The generator of one sample."""
    key = hashlib.blake2b(f"{seed}/{stream}/{number}/{index}".encode(), digest_size=8)
    return Generator().manual_seed(int.from_bytes(key.digest(), "little"))


def _map_tensor(plane: np.ndarray, meaning: Guidance) -> Tensor:
    """A crop of a map over the task's range as shape (1, 1, H, W) in the task's unit."""
    share = plane.astype(np.float32) / np.float32(full_scale(plane.dtype))
    values = np.ascontiguousarray(meaning.minimum + share * (meaning.maximum - meaning.minimum))
    return torch.from_numpy(values)[None, None]


def open_data(
    preset: Preset,
    folders: Sequence[Path],
    streaks: Path | None = None,
    description: str = "",
    kernels: Path | None = None,
    cache_bytes: int = CACHE_BYTES,
    option: str = "--data",
    tell: Callable[[str], object] = silent,
) -> Data:
    """Find the pictures, split off the held-out ones, and set up the task's degradation.

    folders: see `sources.find_scenes`; they mix in proportion to their numbers of pictures.
    streaks: gray rain streak layers, for derain. kernels: blur kernels, for deblur.
    description: defaults to the folders' names.
    cache_bytes: maximum size of decoded pictures kept in memory.
    option, tell: see `sources.find_scenes`.
    Raises HyperguideError if any of these or the preset's degradation cannot be used.
    """
    if streaks is not None and preset.task != "derain":
        raise HyperguideError("--streaks belongs to derain: leave it out.")
    if kernels is not None and preset.task != "deblur":
        raise HyperguideError("--kernels belongs to deblur: leave it out.")
    if preset.task not in DEGRADATIONS:
        raise HyperguideError(f"Training of {preset.task} is not part of this version.")
    where = "The preset's degradation"
    kind = DEGRADATIONS[preset.task]
    degradation = build(kind, preset.degradation, where)
    outer = build(kind, preset.degradation | preset.outer_degradation, where)
    scenes = find_scenes(folders, preset.task, option, tell)
    bank: dict[str, np.ndarray] = {}
    if isinstance(degradation, Blur):
        bank = read_kernels(kernels) if kernels is not None else {}
        assert isinstance(outer, Blur)
        for blur in (degradation, outer):
            _check_blur(blur, preset, scenes, bank)
    elif streaks is not None:
        bank = read_streaks(streaks)
    train, held_out = split_held_out(scenes, HELD_OUT_SHARE, option)
    layers = list(bank.values())
    hyper, held_out_degradation = _split_bank(degradation, layers)
    degradations: dict[Stream, Degradation] = {
        "hyper": hyper,
        "probe": hyper,
        "train": _split_bank(outer, layers)[0],
        "held_out": held_out_degradation,
    }
    threshold = degradation.threshold if isinstance(degradation, Rain) else 0.0
    margin = max(degradation.margin, outer.margin)
    decoder = Decoder(preset.task, preset.channels, threshold, margin + 1)
    _check_first(scenes, decoder)
    names = ["|".join(path.name for path in scene.files) for scene in scenes]
    files = [path for scene in scenes for path in scene.files]
    banks = [folder / name for folder in (streaks, kernels) if folder for name in bank]
    return Data(
        task=preset.task,
        train=train,
        held_out=held_out,
        photos=Photos(decoder, len(scenes), cache_bytes),
        degradations=degradations,
        channels=preset.channels,
        threshold=threshold,
        description=description or ", ".join(folder.resolve().name for folder in folders),
        fingerprint=hashlib.sha256(os.fsencode("\n".join([*names, *bank]))).hexdigest(),
        files=(*files, *banks),
        hints=preset.hints,
    )


def _check_blur(
    degradation: Blur, preset: Preset, scenes: Sequence[Scene], bank: Mapping[str, np.ndarray]
) -> None:
    """Refuse kernels too large for the preset, and pairs with kernels if it reduces pictures."""
    crop = min(stage.crop for stage in preset.schedule.stages)
    if degradation.size > crop:
        raise HyperguideError(
            f"Kernels of {degradation.size} pixels are larger than the preset's crop of {crop}: "
            "enlarge the crop, or reduce the degradation's `size`."
        )
    for name, kernel in bank.items():
        on_canvas(kernel, degradation.size, name)
    own = [scene.kernel for scene in scenes if scene.kernel is not None]
    for path in own:
        on_canvas(read_kernel(path), degradation.size, str(path))
    if own and any(stage.reduce > 1 for stage in preset.schedule.stages):
        raise HyperguideError(
            "Pairs with kernels cannot be reduced in size: leave out `reduce` in the preset."
        )


def _split_bank(
    degradation: Degradation, bank: Sequence[np.ndarray]
) -> tuple[Degradation, Degradation]:
    """The degradation with the first streak layers or kernels, and that with the held-out last."""
    if not bank or not isinstance(degradation, Rain | Blur):
        return degradation, degradation
    count = max(1, round(HELD_OUT_SHARE * len(bank)))
    return (
        replace(degradation, bank=tuple(bank[:-count])),
        replace(degradation, bank=tuple(bank[-count:])),
    )


def _check_first(scenes: Sequence[Scene], decoder: Decoder) -> None:
    """Refuse folders whose first files do not fit each other; later misfits are skipped."""
    checked: Counter[Path] = Counter()
    for scene in scenes:
        folder = (scene.degraded or scene.photo).parent
        if len(scene.files) > 1 and checked[folder] < _CHECKED:
            checked[folder] += 1
            try:
                decoder(scene)
            except MisfitError:
                raise
            except HyperguideError:
                continue  # unreadable: skipped and reported when it is drawn
