#include "motion_tiles.hpp"

#include <algorithm>
#include <cmath>

namespace hyperguide {

void Bordered::set(const Planes &picture) {
    height_ = picture.height, width_ = picture.width, stride_ = width_ + 2 * MARGIN;
    values_.resize(std::size_t(height_ + 2 * MARGIN) * stride_);
    for (int y = -MARGIN; y < height_ + MARGIN; y++) {
        const float *from =
            picture.plane(0) + std::size_t(std::min(std::max(y, 0), height_ - 1)) * width_;
        float *to = values_.data() + std::size_t(y + MARGIN) * stride_;
        std::fill(to, to + MARGIN, from[0]);
        std::copy_n(from, width_, to + MARGIN);
        std::fill(to + MARGIN + width_, to + stride_, from[width_ - 1]);
    }
}

const float *Bordered::at(int y, int x) const {
    y = std::min(std::max(y, -MARGIN), height_ - 1);
    x = std::min(std::max(x, -MARGIN), width_ - 1);
    return values_.data() + std::size_t(y + MARGIN) * stride_ + (x + MARGIN);
}

void Bordered::cut(float y, float x, int side, float *out) const {
    const float low = -float(MARGIN);
    y = std::min(std::max(y, low), float(height_));
    x = std::min(std::max(x, low), float(width_));
    const float whole_y = std::floor(y), whole_x = std::floor(x);
    const float down = y - whole_y, right = x - whole_x;
    const float *one = at(int(whole_y), int(whole_x));
    for (int i = 0; i < side; i++, one += stride_, out += side) {
        const float *two = one + stride_;
        for (int j = 0; j < side; j++) {
            const float above = one[j] + right * (one[j + 1] - one[j]);
            const float below = two[j] + right * (two[j + 1] - two[j]);
            out[j] = above + down * (below - above);
        }
    }
}

float difference_of_tiles(const float *one, int one_stride, const float *other, int other_stride,
                          int height, int width) {
    float sums[TILE] = {};
    for (int y = 0; y < height; y++, one += one_stride, other += other_stride)
        for (int x = 0; x < TILE; x++)  // all columns, for speed
            sums[x] += std::fabs(one[x] - other[x]);
    float sum = 0;
    for (int x = 0; x < width; x++)
        sum += sums[x];
    return sum / float(height * width);
}

}  // namespace hyperguide
