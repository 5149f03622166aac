"""Averages the frames of a noisy video where nothing moves."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from .motion import estimated_motion, moved, moved_blocks, outside

MIX = 0.8
_BLOCK = 4
_CUT = 0.12 * 255
_QUIET = 1.5


class TemporalAverage:
    def __init__(self, limit: int = 32, motion: bool = True, **k: Any) -> None:
        self.limit = limit
        self.use_motion = motion
        self.k = dict(kappa=4.0, t4=5.0, t12=3.0, t20=3.0, te=1.2, tl=1.06, tm=1.1, lo=2.0, hi=4.0, pct=60, debias=True) | k
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self.reset()

    def reset(self) -> None:
        self._average = None
        self._count = None
        self._curve = None
        self._noise = None
        self._size = None

    def __call__(self, frame: np.ndarray):
        f8 = self._padded(frame)
        if self._curve is None or self._size != frame.shape:
            self.reset()
            self._begin(f8, frame.shape)
            return frame, None
        k = self.k
        h, w = f8.shape[0] // _BLOCK, f8.shape[1] // _BLOCK
        m = cv2.resize(f8, (w, h), interpolation=cv2.INTER_AREA)
        a8 = cv2.convertScaleAbs(self._average)
        a = cv2.resize(a8, (w, h), interpolation=cv2.INTER_AREA)
        if float(cv2.norm(m, a, cv2.NORM_L1)) / m.size > _CUT:
            self.reset()
            self._begin(f8, frame.shape)
            return frame, None
        gray = cv2.cvtColor(a, cv2.COLOR_RGB2GRAY) if a.ndim == 3 else a
        level = float(np.median(self._curve[gray]))
        if self.use_motion:
            ga, gm = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float32) if p.ndim == 3 else p.astype(np.float32) for p in (a, m))
            motion = estimated_motion(ga, gm, level / 4 * 1.2, _BLOCK, self._flow)
            self.motion = motion
            if not motion.still:
                self._average = moved(self._average, motion)
                a8 = cv2.convertScaleAbs(self._average)
                a = cv2.resize(a8, (w, h), interpolation=cv2.INTER_AREA)
                gone = outside(motion, self._count.shape, _BLOCK)
                self._count = moved_blocks(self._count, motion, _BLOCK)
                self._count[gone] = 0
        r = cv2.resize(cv2.absdiff(f8, a8), (w, h), interpolation=cv2.INTER_AREA).astype(np.float32)
        if r.ndim == 3:
            r = r.mean(axis=2)
        dm = m.astype(np.float32) - a.astype(np.float32)
        count = np.maximum(self._count, 0.05)
        self._light = cv2.blur(cv2.cvtColor(a, cv2.COLOR_RGB2GRAY) if a.ndim == 3 else a, (3, 3))
        self._sigma = cv2.LUT(self._light, self._curve)
        s2 = self._sigma**2
        v = s2 * (1 + 1 / count)
        bias = self._surplus(dm, v / 16, k["t4"])
        bias = np.maximum(bias, self._surplus(cv2.blur(dm, (3, 3)), v / 144, k["t12"]))
        bias = np.maximum(bias, self._surplus(cv2.blur(dm, (5, 5)), v / 400, k["t20"]))
        energy = (cv2.blur(r, (3, 3)) / 0.8) ** 2
        bias = np.maximum(bias, energy - k["te"] * v)
        good = (bias == 0).astype(np.float32)
        shares = np.minimum(energy / v, 2) * good
        for side, top in ((9, k["tm"]), (15, k["tl"])):
            most = cv2.blur(shares, (side, side)) / (cv2.blur(good, (side, side)) + 1e-3)
            bias = np.maximum(bias, (most - top) * v)
        bias = cv2.dilate(bias, np.ones((3, 3), np.uint8))
        old = s2 / (s2 / count + k["kappa"] * bias)
        old[old < 0.25] = 0
        old[self._count == 0] = 0
        old[self._sigma < _QUIET] = 0
        still = (self._count >= 2) & (old > 0.5 * self._count)
        self._learn_curve(np.sqrt(energy / (1 + 1 / count)), still, 40)
        self._count = np.minimum(old + 1, self.limit)
        size = f8.shape[1], f8.shape[0]
        fresh = cv2.resize(1 / self._count, size)
        f32 = f8.astype(np.float32)
        before = self._average
        self._average = cv2.blendLinear(f32, before, fresh, 1 - fresh)
        used = 1 / (1 + old * np.clip((old - k["lo"]) / (k["hi"] - k["lo"]), 0, 1))
        self.used = 1 / used
        if used.min() == 1:
            self._noise = None
            return frame, None
        if k["debias"]:
            before = cv2.LUT(a8, unclipped(float(np.percentile(self._sigma, 75))))
        weight = cv2.resize(used, size)
        picture = cv2.blendLinear(f32, before, weight, 1 - weight)
        H, W = frame.shape[:2]
        self._noise = self._sigma * np.sqrt(used**2 + (1 - used)**2 / np.maximum(old, 1))
        noise = cv2.resize(self._noise, size)[:H, :W] / 255
        return cv2.convertScaleAbs(picture)[:H, :W], noise

    @staticmethod
    def _surplus(dm, v, t):
        e = dm * dm
        if e.ndim == 3:
            e = e.mean(axis=2)
        return np.maximum(e - t * v, 0)

    def learn(self, guidance):
        if guidance is None:
            return
        h, w = self._count.shape
        g = self._padded(guidance)
        g = cv2.resize(g, (w, h), interpolation=cv2.INTER_AREA) * 255
        if self._noise is not None:
            g = (g - MIX * self._noise) / (1 - MIX)
        fresh = cv2.dilate(self._count, np.ones((9, 9), np.uint8)) <= 1.2
        self._learn_curve(g, fresh, self.k["pct"])

    def _learn_curve(self, levels, mask, pct):
        levels, mask, light = levels[::2, ::2], mask[::2, ::2], self._light[::2, ::2]
        if mask.sum() < 64:
            return
        levels, bins = levels[mask], light[mask] >> 4
        whole = float(np.percentile(levels, pct))
        values = np.empty(16)
        for i in range(16):
            mine = levels[bins == i]
            part = float(np.percentile(mine, pct)) if len(mine) else 0
            values[i] = (part * len(mine) + 20 * whole) / (len(mine) + 20)
        curve = np.interp(np.arange(256), np.arange(16) * 16 + 7.5, values).astype(np.float32)
        if self._curve is None:
            self._curve = curve
        else:
            self._curve = self._curve + 0.2 * (curve - self._curve)

    def _padded(self, f):
        return cv2.copyMakeBorder(f, 0, -f.shape[0] % _BLOCK, 0, -f.shape[1] % _BLOCK, cv2.BORDER_REPLICATE)

    def _begin(self, f8, shape):
        self._average = f8.astype(np.float32)
        self._count = np.ones((f8.shape[0] // _BLOCK, f8.shape[1] // _BLOCK), np.float32)
        self._curve = None
        self._noise = None
        m = cv2.resize(f8, self._count.shape[::-1], interpolation=cv2.INTER_AREA)
        self._light = cv2.blur(cv2.cvtColor(m, cv2.COLOR_RGB2GRAY) if m.ndim == 3 else m, (3, 3))
        self._size = shape


def unclipped(sigma: float) -> np.ndarray:
    """mean of clipped noisy -> value, table of 256."""
    x = np.arange(-3 * 64, 255 + 3 * 64, 0.25)
    phi = lambda t: np.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    cdf = np.vectorize(lambda t: 0.5 * math.erfc(-t / math.sqrt(2)))
    x = np.arange(0, 255.01, 0.5)
    lo, hi = (0 - x) / sigma, (255 - x) / sigma
    mean = x * (cdf(hi) - cdf(lo)) + sigma * (phi(lo) - phi(hi)) + 255 * (1 - cdf(hi))
    return np.interp(np.arange(256), mean, x).astype(np.float32)
