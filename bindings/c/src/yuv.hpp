// Converts YUV pictures to planes, and back by the difference that the network made.
#pragma once

#include "picture.hpp"
#include "planes.hpp"

namespace hyperguide {

// Fills the part of the planes that the picture covers: RGB in 3 channels, or Y in 1.
void yuv_to_planes(const View &picture, Planes &planes);

// Writes planes, without their padding, to the YUV picture `out`.
//
// is_gray: the planes are gray. Their mean becomes Y, and chroma is the input's or, without,
// neutral. in: what the planes were made of; may be `out`. If it is YUV of the same matrix, what
// the network
//     left alone stays as it was: also chroma finer than the interpolation, and whiter than white.
void planes_to_yuv(const Planes &planes, bool is_gray, const View &in, const View &out);

}  // namespace hyperguide
