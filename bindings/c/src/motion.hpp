// The motion between two pictures, one shift for each tile, and pictures moved by it.
#pragma once

#include <vector>

#include "planes.hpp"

namespace hyperguide {

// Side of a tile, in pixels of the reduced pictures in which motion is looked for.
constexpr int TILE = 16;

struct Shift {
    float x = 0, y = 0;
};
inline bool operator==(Shift one, Shift other) { return one.x == other.x && one.y == other.y; }
inline bool operator!=(Shift one, Shift other) { return !(one == other); }

// Where the content of each tile came from.
struct Motion {
    int rows = 0, columns = 0;  // of tiles
    int scale = 1;             // pixels for each pixel of the reduced pictures
    // In pixels, to be added to a place in the new picture to get the place in the old one.
    std::vector<Shift> shifts;

    // Whether nothing moved.
    bool still() const;

    // Writes the old picture, moved. Its border is repeated. Whole pixels are copied, others are
    // interpolated by a Lanczos filter.
    void applied(const Planes &picture, Planes &into) const;

    // Writes a reduced picture, moved to the nearest pixel.
    // outside: what comes from outside.
    void applied_to_reduced(const Planes &reduced, float outside, Planes &into) const;
};

}  // namespace hyperguide
