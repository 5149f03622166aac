// The few image operations that are needed, on planes of floats. All planes are treated alike.
// Results go into `out`, which must be another object than the input; its memory is used again.
#pragma once

#include <vector>

#include "planes.hpp"

namespace hyperguide {

// Means of side x side values. Beyond its border a picture is mirrored: 2 1 | 0 1 2.
void box_blur(const Planes &in, int side, Planes &out);

// A Gaussian of deviation 1 in 5 x 5 values, with the same border.
void gaussian_blur(const Planes &in, Planes &out);

// The smallest and the largest of side x side values. There is nothing beyond the border.
void erode(const Planes &in, int side, Planes &out);
void dilate(const Planes &in, int side, Planes &out);

// Means of 2 x 2 values. An odd row or column at the end is left out.
void halved(const Planes &in, Planes &out);

// One plane from three, by the weights of BT.601. One plane is copied.
void to_gray(const Planes &in, Planes &out);

// Every step-th value of every step-th row of the first plane.
void sampled(const Planes &in, int step, Floats &out);

// As numpy.percentile: linear between the two nearest values. Sorts the values in part; there must
// be at least one.
float percentile(Floats &values, float percent);

// Whether there is neither NaN nor infinity.
bool is_finite(const Planes &in);

// one * share + other * (1 - share), for each value; and the same in place of the other.
void blend(const float *one, const float *other, const float *share, int count, float *out);
void blend_into(const float *one, const float *share, int count, float *other);

// Enlarges the first plane of a map row by row, linearly between the middles of its values.
class Enlarger {
  public:
    // The map must stay as it is until the last row is done.
    void start(const Planes &map, int height, int width);
    // The values of a row, valid until the next call. Rows in order cost least.
    const float *row(int y);

  private:
    struct Place {
        int first;   // the value before
        float share;  // of the value behind
    };
    struct Stretched {
        int row = -1;  // of the map
        Floats values;
    };
    static void find_places(int from, int to, std::vector<Place> &places);
    const Floats &stretched(int row);

    const Planes *map_ = nullptr;
    int rows_ = 0, columns_ = 0, width_ = 0;
    std::vector<Place> down_, along_;
    Stretched stretched_[2];
    Floats row_;
};

}  // namespace hyperguide
