#include "blocks.hpp"

#include <algorithm>
#include <cmath>

namespace hyperguide {

namespace {

int blocks_in(int length, int side) { return (length + side - 1) / side; }

// Adds up the columns of each block.
// sums: of the pixels of each column. height: pixels in a column.
void add_columns(const float *sums, int width, int height, int side, int columns, float factor,
                 float *means) {
    const int whole = std::min(width / side, columns);
    const float share = factor / (float(height) * side);
    for (int column = 0; column < whole; column++) {
        const float *first = sums + column * side;
        float sum = first[0];
        for (int x = 1; x < side; x++)
            sum += first[x];
        means[column] = sum * share;
    }
    if (whole < columns) {
        float sum = 0;
        for (int x = whole * side; x < width; x++)
            sum += sums[x];
        means[whole] = sum * factor / (float(height) * (width - whole * side));
    }
}

}  // namespace

void block_means(const float *plane, int height, int width, int side, int rows, int columns,
                 float factor, float *means) {
    Floats sums(width);
    for (int row = 0; row < rows; row++, means += columns) {
        const int first = row * side, last = std::min(first + side, height);
        std::copy_n(plane + std::size_t(first) * width, width, sums.begin());
        for (int y = first + 1; y < last; y++) {
            const float *added = plane + std::size_t(y) * width;
            for (int x = 0; x < width; x++)
                sums[x] += added[x];
        }
        add_columns(sums.data(), width, last - first, side, columns, factor, means);
    }
}

void block_means(const Planes &picture, int side, float factor, Planes &means) {
    const int height = picture.height, width = picture.width;
    means.resize(picture.channels, blocks_in(height, side), blocks_in(width, side));
    for (int channel = 0; channel < picture.channels; channel++)
        block_means(picture.plane(channel), height, width, side, means.height, means.width, factor,
                    means.plane(channel));
}

void compare_blocks(const Planes &one, const Planes &other, int side, float factor, Planes &means,
                    Planes &differences) {
    const int height = one.height, width = one.width;
    const int rows = blocks_in(height, side), columns = blocks_in(width, side);
    means.resize(one.channels, rows, columns);
    differences.resize(one.channels, rows, columns);
    Floats sums(width), changes(width);
    for (int channel = 0; channel < one.channels; channel++)
        for (int row = 0; row < rows; row++) {
            const int first = row * side, last = std::min(first + side, height);
            std::fill(sums.begin(), sums.end(), 0.0f);
            std::fill(changes.begin(), changes.end(), 0.0f);
            for (int y = first; y < last; y++) {
                const float *ours = one.plane(channel) + std::size_t(y) * width;
                const float *theirs = other.plane(channel) + std::size_t(y) * width;
                for (int x = 0; x < width; x++) {
                    sums[x] += theirs[x];
                    changes[x] += std::fabs(ours[x] - theirs[x]);
                }
            }
            const std::size_t at = std::size_t(row) * columns;
            add_columns(sums.data(), width, last - first, side, columns, factor,
                        means.plane(channel) + at);
            add_columns(changes.data(), width, last - first, side, columns, factor,
                        differences.plane(channel) + at);
        }
}

}  // namespace hyperguide
