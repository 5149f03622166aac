"""The kernel that blurred a picture, and whether it was one kernel at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hyperguide.arrays import as_numpy, in_native_order
from hyperguide.errors import HyperguideError
from hyperguide.pixels import check_range, full_scale, layout_of

from .coarse_to_fine import Restore, coarse_to_fine, polished
from .judge import cost
from .kernel_shape import NO_BLUR, TIDY, Tidiness, padded, reach, spread
from .windows import Windows

Verdict = Literal["blurred", "sharp", "uneven"]

_SMALLEST, _LARGEST = 3, 101
_SIZES = (15, 35, 53, 77, _LARGEST)
_SMALL = 35  # larger kernels are first estimated at half the resolution, which is enough to compare
_CLEARLY = 0.97  # costs of larger kernels must be this much lower
_PATIENCE = 2  # sizes that are no better than the ones before
_LONGEST = 6000  # pixels of a side that are looked at, so that memory is bounded
_SMALLEST_WINDOW, _JUDGED_WINDOW = 320, 400
_SIZES_PER_WINDOW = 5
_WINDOWS = 3
_AT_ONCE = 2  # kernels that are estimated at the same time
_FAINT = Tidiness(least_value=0.03, least_part=0.05)
_ROOM = 2  # around the part of a kernel that is not zero
# Of photos that one kernel blurred, 0.91 to 1; of those that were turned, 0.73 to 0.91.
_AGREES = 0.92
_SHARP = 0.9  # pixels of standard deviation
# Costs as shares of that of no blur. Where the kernel was found, those of blurred photos are 0.47
# to 0.71, of turned ones up to 0.88, and of sharp ones 0.91 and more.
_BETTER, _BETTER_ELSEWHERE = 0.87, 0.95
_EPSILON = 1e-6  # windows without edges cost nothing


@dataclass(frozen=True)
class KernelEstimate:
    """A blur kernel, and what it is worth.

    kernel: shape (k, k), k odd, float32, not negative, sum 1, centred.
    verdict: `blurred`: one kernel explains the picture. `sharp`: it is explained as well without
        any blur, or none of the kernels explains it. `uneven`: parts of the picture need different
        kernels, so that none would restore it.
    agreement: how well the kernel explains other parts of the picture, compared with kernels of
        their own, in [0, 1]: the least ratio of costs; None for pictures of one part.
    """

    kernel: np.ndarray
    verdict: Verdict
    agreement: float | None


def estimate_kernel(
    image: np.ndarray, size: int | None = None, restore: Restore | None = None
) -> KernelEstimate:
    """Estimate the kernel that blurred a picture, from coarse to fine.

    Kernel and sharp picture are found in turns, the latter with few edges (see `latent_image`), for
    several sizes of kernel and in up to three windows with many edges. Of these kernels, the one
    with the least `cost` is taken. Pixels near full scale count nothing.

    image: HxW or HxWxC, as `Enhancer` takes them.
    size: odd number of rows and columns of the kernel; None to find it out.
    restore: what the picture will be restored by, for gray windows of it; this makes the kernel
        more exact.

    Raises HyperguideError for pictures and sizes that cannot be used.
    """
    picture = _gray(image)
    shortest = min(picture.shape)
    largest = _odd(min(_LARGEST, shortest // 3))
    if largest < _SMALLEST:
        raise HyperguideError(
            f"The picture is {picture.shape[1]}x{picture.shape[0]}, too small to estimate a "
            "kernel: give one of at least 9 pixels."
        )
    if size is not None and (size % 2 != 1 or not _SMALLEST <= size <= largest):
        raise HyperguideError(
            f"The kernel size {size} cannot be used: give an odd number from {_SMALLEST} to "
            f"{largest}, a third of the picture's shorter side and at most {_LARGEST}."
        )
    search = _Search(picture, restore, fixed=size is not None)
    sizes = [min(size, largest) for size in _SIZES] if size is None else [size]
    search.choose_size(sorted(set(sizes)))
    search.look_further()
    search.polish()
    return search.result()


@dataclass(frozen=True)
class _Attempt:
    """A window, and how its kernel is estimated."""

    window: np.ndarray
    size: int
    tidiness: Tidiness = TIDY

    def kernel(self, finest: float) -> np.ndarray:
        """See `coarse_to_fine`."""
        return coarse_to_fine(self.window, self.size, self.tidiness, finest)


class _Search:
    """The best kernel so far.

    picture: gray, (H, W). restore: see `estimate_kernel`. fixed: whether the user gave the size.
    judged: the window in which kernels are compared.
    kernel: the best. cost: what `judge.cost` said of it, before it was polished.
    best: how it was found.
    elsewhere: other windows with kernels of their own, None for large ones.
    """

    def __init__(self, picture: np.ndarray, restore: Restore | None, fixed: bool) -> None:
        self.windows = Windows(picture)
        self.restore = restore
        self.fixed = fixed
        self.judged = self.windows.best(_JUDGED_WINDOW, 1)[0]
        self.kernel, self.cost = NO_BLUR, np.inf
        self.best = _Attempt(self.judged, _SMALLEST)
        self.elsewhere: list[tuple[np.ndarray, np.ndarray | None]] = []

    def choose_size(self, sizes: list[int]) -> None:
        """A kernel of one of the sizes."""
        small = [size for size in sizes if size <= _SMALL or self.fixed]
        for attempt, kernel in self._ahead(small, finest=1):
            self._is_better(attempt, kernel)
        # Kernels of the full and of half the resolution cannot be compared with each other.
        larger = sizes[len(small) :]
        if larger and (found := self._best_of_half([small[-1], *larger])) in larger:
            attempt = self._attempt(found)
            self._is_better(attempt, attempt.kernel(finest=1))

    def _best_of_half(self, sizes: list[int]) -> int:
        """The best of growing sizes, by kernels of half the resolution."""
        best, least, worse = sizes[0], np.inf, 0
        for attempt, kernel in self._ahead(sizes, finest=0.5):
            price = cost(self.judged, self._cropped(kernel))
            if price < _CLEARLY * least:
                best, least, worse = attempt.size, price, 0
            elif reach(kernel) < attempt.size // 2 - 1:  # it is not cut
                worse += 1
            if worse == _PATIENCE:
                break
        return best

    def look_further(self) -> None:
        """Kernels of the best size: one that keeps its faint parts, and those of other windows.

        Of large kernels, which take long, there are none; they are only compared with no blur.
        """
        size = max(len(self.kernel), min(_SIZES[0], self.best.size))
        here, *others = self.windows.best(_side_for(size), _WINDOWS)
        attempts = [_Attempt(here, size, _FAINT), *(_Attempt(window, size) for window in others)]
        if size > _SMALL and not self.fixed:
            self.elsewhere = [(window, None) for window in others]
            return
        kernels = [kernel for _, kernel in self._run(attempts, finest=1)]
        for attempt, kernel in zip(attempts, kernels, strict=True):
            self._is_better(attempt, kernel)
        self.elsewhere = list(zip(others, kernels[1:], strict=True))

    def polish(self) -> None:
        """The kernel fitted to what the network makes of its window."""
        if self.restore is not None:
            self.kernel = polished(self.kernel, self.best.window, self.restore)

    def result(self) -> KernelEstimate:
        """The kernel, and what it is worth, also in other windows than the one it was found in."""
        costs = [cost(window, self.kernel) for window, _ in self.elsewhere]
        ratios = [
            (cost(window, own) + _EPSILON) / (price + _EPSILON)
            for (window, own), price in zip(self.elsewhere, costs, strict=True)
            if own is not None
        ]
        agreement = min(1.0, *ratios) if ratios else None
        return KernelEstimate(self.kernel, self._verdict(agreement, costs), agreement)

    def _verdict(self, agreement: float | None, costs: list[float]) -> Verdict:
        """costs: of the kernel in the windows elsewhere."""
        if spread(self.kernel) < _SHARP:
            return "sharp"
        if cost(self.judged, self.kernel) >= _BETTER * cost(self.judged, NO_BLUR):
            return "sharp"
        if agreement is not None and agreement < _AGREES:
            return "uneven"
        explained = all(
            price < _BETTER_ELSEWHERE * cost(window, NO_BLUR)
            for (window, _), price in zip(self.elsewhere, costs, strict=True)
        )
        return "blurred" if explained else "uneven"

    def _cropped(self, kernel: np.ndarray) -> np.ndarray:
        """The kernel in a square that it fills, unless the user gave its size."""
        if self.fixed:
            return kernel
        return padded(kernel, min(2 * (reach(kernel) + _ROOM) + 1, len(kernel)))

    def _attempt(self, size: int) -> _Attempt:
        return _Attempt(self.windows.best(_side_for(size), 1)[0], size)

    def _ahead(self, sizes: list[int], finest: float) -> Iterator[tuple[_Attempt, np.ndarray]]:
        """The kernels of sizes, see `_run`."""
        return self._run(map(self._attempt, sizes), finest)

    def _run(
        self, attempts: Iterable[_Attempt], finest: float
    ) -> Iterator[tuple[_Attempt, np.ndarray]]:
        """Each attempt with its kernel, while the next one is computed on another core."""
        running: deque[tuple[_Attempt, Future[np.ndarray]]] = deque()
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            for attempt in attempts:
                running.append((attempt, pool.submit(attempt.kernel, finest)))
                if len(running) == _AT_ONCE:
                    first, kernel = running.popleft()
                    yield first, kernel.result()
            for first, kernel in running:
                yield first, kernel.result()
        finally:  # also if the rest is not wanted
            pool.shutdown(wait=False, cancel_futures=True)

    def _is_better(self, attempt: _Attempt, kernel: np.ndarray) -> bool:
        """Whether a kernel is better than the best so far, whose place it then takes."""
        cropped = self._cropped(kernel)
        price = cost(self.judged, cropped)
        if price >= self.cost:
            return False
        self.kernel, self.cost, self.best = cropped, price, attempt
        return True


def _side_for(size: int) -> int:
    """The side of windows in which kernels of a size are estimated."""
    return max(_SMALLEST_WINDOW, _SIZES_PER_WINDOW * size)


def _gray(image: np.ndarray) -> np.ndarray:
    """The mean of the colours in the middle of a picture, (H, W), float32, full scale = 1."""
    pixels = in_native_order(as_numpy(image))
    layout = layout_of(pixels)
    if pixels.ndim > 3:
        raise HyperguideError("A kernel is estimated from one picture: give one at a time.")
    colors = layout.pixels(pixels)[0, ..., : layout.color]  # without alpha
    if pixels.dtype.kind == "f":
        check_range(colors)
    rows, columns = (_middle(side) for side in colors.shape[:2])
    gray = colors[rows, columns].mean(axis=2, dtype=np.float32)
    return np.clip(gray / np.float32(full_scale(pixels.dtype)), 0, 1)


def _middle(side: int) -> slice:
    """The middle part of a side that is very long."""
    first = max(side - _LONGEST, 0) // 2
    return slice(first, first + _LONGEST)


def _odd(number: int) -> int:
    """The largest odd number that is not larger."""
    return number - 1 + number % 2
