#include "filters.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hyperguide {

namespace {

// The place within a side that a place beyond its ends mirrors: 2 1 | 0 1 2.
int reflected(int place, int length) {
    if (length == 1)
        return 0;
    while (place < 0 || place >= length)
        place = place < 0 ? -place : 2 * (length - 1) - place;
    return place;
}

// Writes a row with its mirrored ends.
void mirror(const float *row, int width, int reach, float *out) {
    std::copy(row, row + width, out + reach);
    for (int i = 1; i <= reach; i++) {
        out[reach - i] = row[reflected(-i, width)];
        out[reach + width - 1 + i] = row[reflected(width - 1 + i, width)];
    }
}

// Sums of `side` neighbours, by doubling: sums of 1, 2, 4, ... are added as the bits of side say.
// values: count + side - 1 of them. They are overwritten.
void sum_neighbours(float *values, int count, int side, float *sums) {
    std::fill(sums, sums + count, 0.0f);
    int done = 0;
    for (int bit = 1; bit <= side; bit *= 2) {
        if (side & bit) {
            for (int x = 0; x < count; x++)
                sums[x] += values[x + done];
            done += bit;
        }
        for (int x = 0; x + bit < count + side - 1; x++)
            values[x] += values[x + bit];
    }
}

template <typename Choice>
void choose(const Planes &in, int side, float outside, Choice choice, Planes &out) {
    out.resize(in.channels, in.height, in.width);
    const int width = in.width, reach = side / 2;
    Floats padded(width + 2 * reach, outside);
    float *best = padded.data() + reach;
    for (int channel = 0; channel < in.channels; channel++) {
        const float *from = in.plane(channel);
        float *to = out.plane(channel);
        for (int y = 0; y < in.height; y++, to += width) {
            const int first = std::max(y - reach, 0), last = std::min(y + reach, in.height - 1);
            std::copy_n(from + std::size_t(first) * width, width, best);
            for (int other = first + 1; other <= last; other++) {
                const float *row = from + std::size_t(other) * width;
                for (int x = 0; x < width; x++)
                    best[x] = choice(best[x], row[x]);
            }
            std::copy_n(padded.data(), width, to);
            for (int i = 1; i < side; i++) {
                const float *shifted = padded.data() + i;
                for (int x = 0; x < width; x++)
                    to[x] = choice(to[x], shifted[x]);
            }
        }
    }
}

}  // namespace

void box_blur(const Planes &in, int side, Planes &out) {
    out.resize(in.channels, in.height, in.width);
    const int width = in.width, reach = side / 2;
    const float share = 1.0f / (side * side);
    Floats sums(width), padded(width + 2 * reach);
    for (int channel = 0; channel < in.channels; channel++) {
        const float *from = in.plane(channel);
        float *to = out.plane(channel);
        const auto row = [&](int y) {
            return from + std::size_t(reflected(y, in.height)) * width;
        };
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int y = -reach; y <= reach; y++) {
            const float *added = row(y);
            for (int x = 0; x < width; x++)
                sums[x] += added[x];
        }
        for (int y = 0; y < in.height; y++, to += width) {
            mirror(sums.data(), width, reach, padded.data());
            sum_neighbours(padded.data(), width, side, to);
            for (int x = 0; x < width; x++)
                to[x] *= share;
            const float *added = row(y + reach + 1), *removed = row(y - reach);
            for (int x = 0; x < width; x++)
                sums[x] += added[x] - removed[x];
        }
    }
}

void gaussian_blur(const Planes &in, Planes &out) {
    constexpr int REACH = 2;
    constexpr float OUTER = 0.05448868f, INNER = 0.24420134f, MIDDLE = 0.40261995f;
    out.resize(in.channels, in.height, in.width);
    const int width = in.width;
    Floats padded(width + 2 * REACH), down(width);
    for (int channel = 0; channel < in.channels; channel++) {
        const float *from = in.plane(channel);
        float *to = out.plane(channel);
        for (int y = 0; y < in.height; y++, to += width) {
            const float *rows[5];
            for (int i = 0; i < 5; i++)
                rows[i] = from + std::size_t(reflected(y + i - REACH, in.height)) * width;
            for (int x = 0; x < width; x++)
                down[x] = OUTER * (rows[0][x] + rows[4][x]) + INNER * (rows[1][x] + rows[3][x]) +
                          MIDDLE * rows[2][x];
            mirror(down.data(), width, REACH, padded.data());
            const float *p = padded.data();
            for (int x = 0; x < width; x++)
                to[x] =
                    OUTER * (p[x] + p[x + 4]) + INNER * (p[x + 1] + p[x + 3]) + MIDDLE * p[x + 2];
        }
    }
}

void erode(const Planes &in, int side, Planes &out) {
    const float most = std::numeric_limits<float>::infinity();
    choose(in, side, most, [](float a, float b) { return a < b ? a : b; }, out);
}

void dilate(const Planes &in, int side, Planes &out) {
    const float least = -std::numeric_limits<float>::infinity();
    choose(in, side, least, [](float a, float b) { return a > b ? a : b; }, out);
}

void halved(const Planes &in, Planes &out) {
    out.resize(in.channels, std::max(in.height / 2, 1), std::max(in.width / 2, 1));
    const int right = in.width > 1, down = in.height > 1 ? in.width : 0;
    for (int channel = 0; channel < in.channels; channel++) {
        float *to = out.plane(channel);
        for (int y = 0; y < out.height; y++, to += out.width) {
            const float *one = in.plane(channel) + std::size_t(2 * y) * in.width;
            const float *two = one + down;
            for (int x = 0; x < out.width; x++)
                to[x] = 0.25f * (one[2 * x] + one[2 * x + right] + two[2 * x] + two[2 * x + right]);
        }
    }
}

void to_gray(const Planes &in, Planes &out) {
    out.resize(1, in.height, in.width);
    if (in.channels == 1) {
        out.values = in.values;
        return;
    }
    const float *red = in.plane(0), *green = in.plane(1), *blue = in.plane(2);
    float *to = out.plane(0);
    for (std::size_t i = 0; i < in.pixels(); i++)
        to[i] = 0.299f * red[i] + 0.587f * green[i] + 0.114f * blue[i];
}

void sampled(const Planes &in, int step, Floats &out) {
    out.clear();
    for (int y = 0; y < in.height; y += step) {
        const float *row = in.plane(0) + std::size_t(y) * in.width;
        for (int x = 0; x < in.width; x += step)
            out.push_back(row[x]);
    }
}

float percentile(Floats &values, float percent) {
    const double place = percent / 100.0 * double(values.size() - 1);
    const auto below = values.begin() + std::ptrdiff_t(place);
    std::nth_element(values.begin(), below, values.end());
    const float share = float(place - std::floor(place));
    if (share == 0 || below + 1 == values.end())
        return *below;
    return *below + share * (*std::min_element(below + 1, values.end()) - *below);
}

bool is_finite(const Planes &in) {
    float sum = 0;  // of zeros, or NaN
    for (float value : in.values)
        sum += value * 0;
    return sum == 0;
}

void blend(const float *one, const float *other, const float *share, int count, float *out) {
    for (int x = 0; x < count; x++)
        out[x] = other[x] + share[x] * (one[x] - other[x]);
}

void blend_into(const float *one, const float *share, int count, float *other) {
    for (int x = 0; x < count; x++)
        other[x] += share[x] * (one[x] - other[x]);
}

void Enlarger::find_places(int from, int to, std::vector<Place> &places) {
    places.resize(to);
    for (int i = 0; i < to; i++) {
        const double exact = (i + 0.5) * from / to - 0.5;
        const double place = std::min(std::max(exact, 0.0), from - 1.0);
        const int first = std::min(int(place), std::max(from - 2, 0));
        places[i] = {first, float(place - first)};
    }
}

void Enlarger::start(const Planes &map, int height, int width) {
    if (rows_ != map.height || int(down_.size()) != height)
        find_places(map.height, height, down_);
    if (columns_ != map.width || width_ != width)
        find_places(map.width, width, along_);
    map_ = &map, rows_ = map.height, columns_ = map.width, width_ = width;
    for (Stretched &row : stretched_)
        row.row = -1;
}

const Floats &Enlarger::stretched(int row) {
    Stretched &into = stretched_[row % 2];
    if (into.row == row)
        return into.values;
    into.row = row;
    into.values.resize(width_);
    const float *from = map_->plane(0) + std::size_t(row) * columns_;
    const int next = columns_ > 1;
    for (int x = 0; x < width_; x++) {
        const Place &place = along_[x];
        const float before = from[place.first], behind = from[place.first + next];
        into.values[x] = before + place.share * (behind - before);
    }
    return into.values;
}

const float *Enlarger::row(int y) {
    const Place &place = down_[y];
    const float *before = stretched(place.first).data();
    if (rows_ == 1)
        return before;
    const float *behind = stretched(place.first + 1).data();
    row_.resize(width_);
    const float share = place.share;
    for (int x = 0; x < width_; x++)
        row_[x] = before[x] + share * (behind[x] - before[x]);
    return row_.data();
}

}  // namespace hyperguide
