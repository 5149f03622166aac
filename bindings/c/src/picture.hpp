// Pictures in the caller's memory, checked before they are touched.
#pragma once

#include <cstddef>

#include "hyperguide.h"

namespace hyperguide {

// One plane of a picture.
struct Plane {
    unsigned char *data = nullptr;
    std::ptrdiff_t stride = 0;  // bytes from a row to the next, never 0
    int width = 0, height = 0;  // U and V that are interleaved count as one column
    std::size_t row_bytes = 0;  // that carry pixels

    unsigned char *row(int y) const { return data + stride * y; }
};

// A checked picture, read or written; const does not protect its pixels.
struct View {
    hg_format format = HG_RGB24;
    int width = 0, height = 0;
    hg_matrix matrix = HG_BT709;
    hg_range range = HG_LIMITED;
    int plane_count = 0;
    Plane planes[3];

    bool is_yuv() const { return plane_count > 1; }
    bool has_one_channel() const { return format == HG_GRAY8 || format == HG_GRAY16; }
};

// Whether rows of which the first begins at `data` end beyond the addresses that exist.
bool exceeds_memory(const void *data, std::ptrdiff_t stride, std::size_t row_bytes, int height);

// Throws Error(HG_BAD_ARGUMENT) for a picture that cannot be read and written safely, and for
// colour where the network has 1 channel. YUV is fine there: such networks take its Y.
// name: what the caller calls the picture, for the sentence.
void check_picture(const hg_picture &picture, const char *name, int channels);

// A view of a picture that check_picture accepts.
View view_of(const hg_picture &picture);

// Whether both are the same pixels in the same memory, so that `out` may replace `in`.
bool is_same_layout(const View &in, const View &out);

// Whether two pictures share bytes without being the same. Pictures side by side in one buffer,
// with equal strides, do not overlap.
bool overlap_partially(const View &in, const View &out);

// Whether planes of one picture share bytes: nothing can be written to such a picture.
bool planes_overlap(const View &picture);

}  // namespace hyperguide
