// Planes that are larger than their picture, because networks take multiples of a size.
#pragma once

#include "planes.hpp"

namespace hyperguide {

// Fills planes right of `width` and below `height` with the mirror image of what is there, again
// and again if that is smaller than the padding: as numpy.pad(mode="symmetric").
void mirror_edges(Planes &planes, int width, int height);

}  // namespace hyperguide
