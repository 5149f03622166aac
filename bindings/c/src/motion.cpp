#include "motion.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace hyperguide {

namespace {

// Lobes of the interpolation filter, and its weights.
constexpr int LOBES = 4, TAPS = 2 * LOBES;
// About as many pixels of a row are moved at once, so that they stay in the processor's cache.
constexpr int AT_ONCE = 256;

using Filter = std::array<float, TAPS>;

// A part of the picture that moves as one.
struct Box {
    int top, left, height, width;
};

double sinc(double place) {
    const double angle = 3.14159265358979323846 * place;
    return place == 0 ? 1 : std::sin(angle) / angle;
}

// The filter that takes the value `part` of a pixel further, in [0, 1).
Filter lanczos(double part) {
    std::array<double, TAPS> weights;
    double sum = 0;
    for (int i = 0; i < TAPS; i++) {
        const double place = i + 1 - LOBES - part;
        sum += weights[i] = sinc(place) * sinc(place / LOBES);
    }
    Filter filter;
    for (int i = 0; i < TAPS; i++)
        filter[i] = float(weights[i] / sum);
    return filter;
}

// Moves boxes of planes of one size.
class Mover {
  public:
    Mover(int height, int width, int widest)
        : height_(height), width_(width), widest_(widest), line_(widest + TAPS) {}

    void move(const float *plane, const Box &box, Shift shift, float *into) {
        const float whole_x = std::floor(shift.x), whole_y = std::floor(shift.y);
        const float part_x = shift.x - whole_x, part_y = shift.y - whole_y;
        // Beyond the picture everything is alike, and integers are bounded.
        const int left = box.left + bounded(whole_x, width_);
        const int top = box.top + bounded(whole_y, height_);
        if (part_y == 0) {
            const Filter along = lanczos(part_x);
            for (int y = 0; y < box.height; y++)
                filter_row(plane, top + y, left, box.width, part_x != 0, along,
                           into + std::size_t(box.top + y) * width_ + box.left);
            return;
        }
        const Filter along = lanczos(part_x), down = lanczos(part_y);
        const int lines = box.height + TAPS - 1;
        filtered_.resize(std::size_t(lines) * widest_);
        for (int y = 0; y < lines; y++)
            filter_row(plane, top + y + 1 - LOBES, left, box.width, part_x != 0, along,
                       filtered_.data() + std::size_t(y) * widest_);
        for (int y = 0; y < box.height; y++)
            weigh(filtered_.data() + std::size_t(y) * widest_, widest_, down, box.width,
                  into + std::size_t(box.top + y) * width_ + box.left);
    }

  private:
    int bounded(float whole, int side) const {
        const float most = float(side + widest_ + TAPS);
        return int(std::min(std::max(whole, -most), most));
    }

    // The weighted sum of eight values, `step` apart.
    static void weigh(const float *values, int step, const Filter &filter, int count, float *out) {
        const float *v0 = values, *v1 = v0 + step, *v2 = v1 + step, *v3 = v2 + step;
        const float *v4 = v3 + step, *v5 = v4 + step, *v6 = v5 + step, *v7 = v6 + step;
        const Filter f = filter;
        for (int x = 0; x < count; x++)
            out[x] = f[0] * v0[x] + f[1] * v1[x] + f[2] * v2[x] + f[3] * v3[x] + f[4] * v4[x] +
                     f[5] * v5[x] + f[6] * v6[x] + f[7] * v7[x];
    }

    // A part of a row that may reach beyond the picture.
    const float *part_of_row(const float *plane, int y, int left, int count) {
        const float *row = plane + std::size_t(std::min(std::max(y, 0), height_ - 1)) * width_;
        if (left >= 0 && left + count <= width_)
            return row + left;
        for (int x = 0; x < count; x++)
            line_[x] = row[std::min(std::max(left + x, 0), width_ - 1)];
        return line_.data();
    }

    void filter_row(const float *plane, int y, int left, int count, bool between,
                    const Filter &along, float *out) {
        if (!between)
            std::copy_n(part_of_row(plane, y, left, count), count, out);
        else
            weigh(part_of_row(plane, y, left + 1 - LOBES, count + TAPS - 1), 1, along, count, out);
    }

    int height_, width_, widest_;  // of the planes, and of boxes
    Floats line_, filtered_;
};

}  // namespace

bool Motion::still() const {
    return std::all_of(shifts.begin(), shifts.end(), [](Shift s) { return s == Shift(); });
}

void Motion::applied(const Planes &picture, Planes &into) const {
    into.resize(picture.channels, picture.height, picture.width);
    const int side = TILE * scale, most = std::max(AT_ONCE / side, 1);  // tiles at once
    Mover mover(picture.height, picture.width, most * side);
    for (int row = 0; row < rows; row++) {
        const Shift *of_row = shifts.data() + std::size_t(row) * columns;
        const int top = row * side, height = std::min(side, picture.height - top);
        int column = 0;
        while (column < columns) {  // neighbours that move alike are moved at once
            const int first = column++;
            while (column < columns && of_row[column] == of_row[first] &&
                   column - first < most)
                ++column;
            const int left = first * side, width = std::min(column * side, picture.width) - left;
            for (int channel = 0; channel < picture.channels; channel++)
                mover.move(picture.plane(channel), {top, left, height, width}, of_row[first],
                           into.plane(channel));
        }
    }
}

void Motion::applied_to_reduced(const Planes &reduced, float outside, Planes &into) const {
    const int height = reduced.height, width = reduced.width;
    into.resize(1, height, width);
    for (int y = 0; y < height; y++)
        for (int column = 0; column < columns; column++) {
            const Shift shift = shifts[std::size_t(y / TILE) * columns + column];
            const float from_y = std::nearbyint(float(y) + shift.y / float(scale));
            const float move_x = std::nearbyint(shift.x / float(scale));
            const float *row = reduced.plane(0);
            const bool within = from_y >= 0 && from_y < float(height);
            if (within)
                row += std::size_t(from_y) * width;
            float *to = into.plane(0) + std::size_t(y) * width;
            for (int x = column * TILE; x < std::min((column + 1) * TILE, width); x++) {
                const float from_x = float(x) + move_x;
                to[x] = within && from_x >= 0 && from_x < float(width) ? row[int(from_x)] : outside;
            }
        }
}

}  // namespace hyperguide
