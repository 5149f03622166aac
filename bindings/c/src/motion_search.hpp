// Finds the motion between two reduced pictures.
#pragma once

#include <vector>

#include "motion.hpp"
#include "motion_matching.hpp"

namespace hyperguide {

// The best shift of each tile by whole pixels is refined by steps of Lucas and Kanade. The motion
// of the camera is a linear function of the place, fitted to most of the tiles. A tile moves as the
// camera does, unless its own motion explains it clearly better.
class MotionSearch {
  public:
    // The motion from one picture to the next, valid until the next call.
    // before, now: gray, of one channel and equal size, in [0, 255].
    // noise: standard deviation of the noise of their difference.
    // scale: by which the pictures were reduced.
    const Motion &operator()(const Planes &before, const Planes &now, float noise, int scale);

  private:
    void refine_own();
    void decide(float noise);
    void unexplained(const std::vector<Shift> &shifts, Floats &differences) const;

    Matching match_;
    Motion motion_;
    Planes before_, now_;
    std::vector<Shift> own_, certainty_, camera_;
    Floats of_camera_, of_own_, at_rest_;
};

}  // namespace hyperguide
