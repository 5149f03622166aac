// Rows of pictures with interleaved channels, to rows of floats and back. Bit for bit as Python's
// runtime does it.
#pragma once

#include "picture.hpp"

namespace hyperguide {

// Reads `width` pixels. Gray formats write planes[0] only.
void read_row(hg_format format, const unsigned char *row, int width, float *const planes[3]);

// The alpha of an RGBA row.
void read_alpha(const unsigned char *row, int width, unsigned char *alpha);

// Writes `width` pixels: rounded half to even and limited to the format's values, but for RGBF32,
// which takes floats as they are. Gray formats read planes[0] only; planes may be the same row.
// alpha: `width` values apart from `row`, for RGBA.
void write_row(hg_format format, const float *const planes[3], const unsigned char *alpha,
               int width, unsigned char *row);

// Whether all pixels of a colour row have three equal values.
bool is_row_gray(hg_format format, const unsigned char *row, int width);

// The mean of three rows, in the order in which numpy adds.
void mean_row(const float *first, const float *second, const float *third, int width, float *mean);

bool is_row_finite(const float *row, int width);

// Whether all values are in [low, high], which NaN is not; low <= 0 <= high.
bool is_row_within(const float *row, int width, float low, float high);

}  // namespace hyperguide
