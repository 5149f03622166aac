// Pictures as networks take them: planes of floats in [0, 1].
#pragma once

#include <cstddef>
#include <cstdint>

#include "floats.hpp"

namespace hyperguide {

// Limits of pictures and maps: beyond these, sizes in bytes might overflow somewhere.
constexpr int LARGEST_SIDE = 65536;
constexpr std::int64_t MOST_PIXELS = std::int64_t(1) << 28;

// channels x height x width values; 1 channel for gray, 3 for RGB.
struct Planes {
    int channels = 0, height = 0, width = 0;
    Floats values;

    // Changes the size; the values are undefined afterwards.
    void resize(int channels_, int height_, int width_) {
        channels = channels_, height = height_, width = width_;
        values.resize(std::size_t(channels) * height * width);
    }
    std::size_t pixels() const { return std::size_t(height) * width; }
    float *plane(int channel) { return values.data() + channel * pixels(); }
    const float *plane(int channel) const { return values.data() + channel * pixels(); }
};

}  // namespace hyperguide
