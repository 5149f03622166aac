"""Caches decoded scenes in memory, up to a bound, and counts the files that cannot be read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from hyperguide.errors import HyperguideError

from .decoding import Planes
from .scenes import Scene

_SKIPPED_SHARE = 0.05


class Photos:
    """A least-recently-used cache of scenes, which are decoded on first use.

    decode: reads a scene or raises HyperguideError.
    count: number of all scenes, including held-out ones.
    bound: maximum number of bytes kept.
    """

    def __init__(self, decode: Callable[[Scene], Planes], count: int, bound: int) -> None:
        self.bound = bound
        self.size = 0  # bytes kept
        self.skipped: list[str] = []  # a sentence for each file that cannot be read
        self.unreadable: set[Scene] = set()
        self._decode = decode
        self._count = count
        self._kept: OrderedDict[Scene, Planes] = OrderedDict()
        self._whole = False  # whether every scene is kept

    def read(self, scene: Scene) -> Planes | None:
        """The scene's planes, or None if one of its files cannot be read.

        Raises HyperguideError if this holds for more than 5 % of the scenes, and more than one.
        """
        if scene in self._kept:
            self._kept.move_to_end(scene)
            return self._kept[scene]
        if scene in self.unreadable:
            return None
        try:
            planes = self._decode(scene)
        except HyperguideError as error:
            self.unreadable.add(scene)
            self.skip(str(error))
            return None
        self._keep(scene, planes)
        return planes

    def skip(self, sentence: str) -> None:
        """Count an unreadable file, unless it is known already. Raises as `read` does."""
        if sentence not in self.skipped:
            self.skipped.append(sentence)
            if len(self.skipped) > max(1, _SKIPPED_SHARE * self._count):
                self.refuse()

    def skip_all(self, sentences: Iterable[str]) -> None:
        """Count unreadable files that a checkpoint or other processes report."""
        for sentence in list(sentences):
            self.skip(sentence)

    def refuse(self) -> NoReturn:
        """Raise HyperguideError because of the files that cannot be read."""
        raise HyperguideError(
            f"{len(self.skipped)} files of {self._count} pictures cannot be used, the first one "
            f"because of this: {self.skipped[0]}"
        )

    def decode_all(self, scenes: Sequence[Scene]) -> None:
        """Decode and keep all scenes if they fit the bound, so that forked processes share them."""
        some = scenes[:: max(len(scenes) // 8, 1)]
        sizes = [planes.size for planes in map(self._try, some) if planes is not None]
        if sum(sizes) / max(len(sizes), 1) * len(scenes) > self.bound:
            return
        lost = sum(self._try(scene) is None for scene in scenes)
        self._whole = len(self._kept) + lost == len(scenes)

    def share_bound(self, processes: int) -> None:
        """Reduce the bound to one process's share, unless all scenes are kept and shared."""
        if not self._whole:
            self.bound //= processes
            self._drop()

    def _try(self, scene: Scene) -> Planes | None:
        """As `read`, but unreadable files are not counted until they are drawn."""
        if scene not in self._kept:
            try:
                self._keep(scene, self._decode(scene))
            except HyperguideError:
                return None
        return self._kept.get(scene)

    def _keep(self, scene: Scene, planes: Planes) -> None:
        self._kept[scene] = planes
        self.size += planes.size
        self._drop()

    def _drop(self) -> None:
        while self.size > self.bound:
            self.size -= self._kept.popitem(last=False)[1].size

    def __getstate__(self) -> dict[str, Any]:
        """The state without cached scenes: another process decodes its own."""
        return self.__dict__ | {"_kept": OrderedDict(), "size": 0, "_whole": False}
