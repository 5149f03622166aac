// The motion of the camera, from the shifts of tiles.
#pragma once

#include <vector>

#include "motion.hpp"

namespace hyperguide {

// A linear function of the place, fitted to most of the tiles by reweighted least squares. A
// constant, unless that fits significantly worse.
// weights: of the shifts in x and in y.
void fit_camera(const std::vector<Shift> &shifts, const std::vector<Shift> &weights, int rows,
                int columns, std::vector<Shift> &camera);

}  // namespace hyperguide
