// Means of blocks of pixels.
#pragma once

#include "planes.hpp"

namespace hyperguide {

// The mean of each block of side x side pixels, times a factor.
// rows, columns: how many blocks; pixels beyond them are left out. Blocks that reach over the end
// of the picture are as large as what is left of them.
void block_means(const float *plane, int height, int width, int side, int rows, int columns,
                 float factor, float *means);

// The same for each plane of a picture, with as many blocks as cover it.
void block_means(const Planes &picture, int side, float factor, Planes &means);

// Two pictures of the same size in one pass: the block means of the second, and those of their
// absolute difference.
void compare_blocks(const Planes &one, const Planes &other, int side, float factor, Planes &means,
                    Planes &differences);

}  // namespace hyperguide
