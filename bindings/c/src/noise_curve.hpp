// The noise level as a function of brightness, learned from frame to frame.
#pragma once

#include <array>

#include "floats.hpp"

namespace hyperguide {

// The standard deviation of noise at each brightness, both in [0, 255]. Camera noise depends on the
// brightness, and what is clipped at black and white varies less.
class NoiseCurve {
  public:
    bool known() const { return known_; }
    void reset() { known_ = false; }

    // The level at a brightness, and the largest of all. Both need a known curve.
    float at(float brightness) const;
    float largest() const;

    // Follows measurements of blocks.
    // percent: which percentile of the measurements of a bin is its level.
    void learn(const Floats &measured, const Floats &brightness, float percent);

  private:
    bool known_ = false;
    std::array<float, 256> levels_{};
};

// Averaged frames are too bright near black and too dark near white, because noise is cut off
// there: the mean of a normal distribution that is clipped at both ends is inverted.
class UnclippedMeans {
  public:
    // level: standard deviation of the noise, in [0, 255].
    explicit UnclippedMeans(float level);

    // The values whose noisy and clipped copies have the given means, both in [0, 1].
    void apply(const float *means, int count, float *values) const;

  private:
    std::array<float, 257> table_;  // in [0, 1]; the last value stands twice
    float low_, high_;             // in between, nothing changes
};

}  // namespace hyperguide
