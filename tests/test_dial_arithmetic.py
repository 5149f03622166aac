"""The dials' arithmetic in numpy equals that of the model files' graphs."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import TASKS
from hyperguide.engines import OnnxRuntimeCpu
from hyperguide.inference.dials import blended, mixed, only_map
from hyperguide.model_format.bundled import bundled_path
from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE
from hyperguide.model_format.model_file import read_model_file


@pytest.mark.parametrize("task", TASKS)
def test_numpy_mixes_maps_and_blends_pictures_as_the_graph_does(task: str) -> None:
    file = read_model_file(bundled_path(task, "fast"))
    engine = OnnxRuntimeCpu(file, 1)
    rng = np.random.default_rng(3)
    image = rng.random((2, file.info.channels, 32, 48), np.float32)
    maximum = file.info.guidance.maximum
    dials = {
        "guidance_in": rng.random((2, 1, 32, 48), np.float32) * np.float32(maximum),
        "guidance_mix": rng.random((1, 1, 32, 48), np.float32),
        "guidance_scale": np.full((1, 1, 1, 1), 0.75, np.float32),
    }
    predicted = engine.run({IMAGE: image})[GUIDANCE]
    full = engine.run({IMAGE: image, **dials})
    used = mixed(predicted, dials)
    np.testing.assert_allclose(full[GUIDANCE], used, rtol=0, atol=1e-5 * maximum)
    same = engine.run({IMAGE: image, **only_map(used * dials["guidance_scale"])})
    np.testing.assert_allclose(same[ENHANCED], full[ENHANCED], rtol=0, atol=1e-4)

    # The graph blends before clipping, so the results are comparable only where nothing is clipped.
    inside = (full[ENHANCED] > 0) & (full[ENHANCED] < 1)
    assert inside.mean() > 0.5
    for strength in (np.full((1, 1, 1, 1), 0.6), 1.4 * rng.random((2, 1, 32, 48))):
        turned = {"strength": strength.astype(np.float32)}
        found = engine.run({IMAGE: image, **dials, **turned})[ENHANCED]
        expected = blended(image, full[ENHANCED], turned)
        np.testing.assert_allclose(found[inside], expected[inside], rtol=0, atol=1e-5)
