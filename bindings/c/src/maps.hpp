// Guidance maps and kernels that callers give and take.
#pragma once

#include "hyperguide.h"
#include "model_file.hpp"
#include "planes.hpp"

namespace hyperguide {

// Throws Error(HG_BAD_ARGUMENT) unless the map has values, a size, and a stride that fits.
// what: names it in the sentence.
void check_map(const hg_map &map, const char *what);

// The values of a map, resized to a picture's size. Throws Error(HG_BAD_ARGUMENT) for values
// outside the model's range, NaN and infinity.
void read_map(const hg_map &map, const ModelInfo &info, int height, int width, Planes &out);

// Writes a map that has the same size.
void write_map(const Planes &from, const hg_map &to);

// A kernel with the sum 1. Throws Error(HG_BAD_ARGUMENT) unless it has odd sides, no negative value
// and the sum 1 within a thousandth.
Floats read_kernel(const float *values, std::int32_t rows, std::int32_t columns);

}  // namespace hyperguide
