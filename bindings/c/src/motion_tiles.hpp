// Tiles that are cut out of reduced pictures, and compared.
#pragma once

#include "motion.hpp"
#include "planes.hpp"

namespace hyperguide {

// A tile with a border of one pixel, for derivatives.
constexpr int BORDERED_TILE = TILE + 2;

// A gray picture whose border is repeated all around, so that tiles may be cut anywhere.
class Bordered {
  public:
    void set(const Planes &picture);
    int height() const { return height_; }
    int width() const { return width_; }
    int stride() const { return stride_; }

    // The place of a pixel. Beyond the picture, whole tiles are near enough to be read; what is
    // further away is moved there, where everything is alike.
    const float *at(int y, int x) const;

    // A square whose upper left corner lies between pixels.
    // side: up to BORDERED_TILE. out: side x side values.
    void cut(float y, float x, int side, float *out) const;

  private:
    static constexpr int MARGIN = BORDERED_TILE + 2;
    int height_ = 0, width_ = 0, stride_ = 0;
    Floats values_;
};

// The mean absolute difference of two tiles.
// height, width: of what counts, up to TILE.
float difference_of_tiles(const float *one, int one_stride, const float *other, int other_stride,
                          int height, int width);

}  // namespace hyperguide
