// Whether a frame shows what the average of frames before it shows, but for noise.
#pragma once

#include <array>

#include "planes.hpp"

namespace hyperguide {

// Side of the blocks that are compared, in pixels.
constexpr int BLOCK = 4;

// Tells motion from noise.
//
// What is left of white noise in the mean of a square falls with its area. Noise of cameras and
// compressed video is coarser: more is left, by a factor that does not grow from one large square
// to the next. What motion leaves does grow. So the factors are learned from frames in which they
// hardly grow.
class Agreement {
  public:
    // Forgets the noise so far.
    void reset() { factors_.fill(1); }

    // The mean squared difference around each block.
    // differences: means of absolute differences in blocks.
    void energy_of_blocks(const Planes &differences, Planes &energy);

    // The squared difference that noise does not explain around each block.
    // frame, average: means of blocks.
    // variance: of the noise of a pixel's difference, for each block.
    // Everything in levels, full scale = 255.
    void bias(const Planes &frame, const Planes &average, const Planes &energy,
              const Planes &variance, Planes &bias);

    // Whether the noise is coarser than white noise.
    bool coarse() const;

  private:
    static constexpr int SQUARES = 4;
    void compare_means(const Planes &variance);
    void compare_energies(const Planes &energy, const Planes &variance);
    void learn(const std::array<float, SQUARES> &found);

    std::array<float, SQUARES> factors_{1, 1, 1, 1};  // for the squares of each side
    Planes difference_, blurred_, squares_, excess_;
    Planes unseen_, ratios_, total_, mean_;
    Floats some_;
};

}  // namespace hyperguide
