// Rows of YUV pictures, to levels and back. Levels are floats that mean the same at every depth and
// range: luma goes from 0 to 1, chroma from -0.5 to 0.5 (ITU-T H.273, equations 38 to 43).
#pragma once

#include "picture.hpp"

namespace hyperguide {

// Levels beyond black and white, which video may have, are not limited.
void read_luma(const View &picture, int y, float *luma);
void read_chroma(const View &picture, int y, float *u, float *v);

// Rounded, and limited to what the bits can hold.
void write_luma(const View &picture, int y, const float *luma);
void write_chroma(const View &picture, int y, const float *u, const float *v);

// Whether a picture has no colour at all.
bool has_neutral_chroma(const View &picture);

}  // namespace hyperguide
