// Converts between callers' pictures and the planes that networks take and give.
#pragma once

#include "picture.hpp"
#include "planes.hpp"

namespace hyperguide {

// Reads a picture.
//
// planes: of the network's channels. Gray pictures are repeated for 3; for 1, YUV gives its Y. At
//     least as large as the picture; what is larger is filled with the mirror image at the right
//     and at the bottom.
//
// Throws Error(HG_BAD_ARGUMENT) for floats that are NaN, infinite or far from [0, 1]; the planes
// are undefined then.
void to_planes(const View &picture, Planes &planes);

// Writes a network's result, without the padding.
//
// in: the picture that the network saw, unchanged since; may be `out`. Its alpha is kept. Between
//     YUV pictures of the same matrix, its Y, U and V are changed by what the network changed.
//
// Three planes are averaged for gray outputs, and where the input is of a gray format.
// Throws Error(HG_FAILED) for NaN and infinity; nothing is written then.
void from_planes(const Planes &planes, const View &in, const View &out);

// Throws Error(HG_FAILED) for NaN and infinity in the upper left of an engine's results.
void check_finite(const Planes &planes, int width, int height);

// Whether a colour picture shows only gray: three equal planes, or YUV without colour. False for
// gray formats. A few rows usually suffice to recognise colour.
bool is_gray(const View &picture);

// from_planes for an input that is gray in colour: the output gets no tint.
void write_gray(const Planes &planes, const View &in, const View &out);

}  // namespace hyperguide
