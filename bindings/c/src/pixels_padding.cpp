#include "pixels_padding.hpp"

#include <cstring>

namespace hyperguide {

namespace {

// Where the value at `index` comes from, in [0, length): 0 1 2 | 2 1 0.
int mirrored(int index, int length) {
    const int within = index % (2 * length);
    return within < length ? within : 2 * length - 1 - within;
}

}  // namespace

void mirror_edges(Planes &planes, int width, int height) {
    const auto columns = std::size_t(planes.width);
    for (int channel = 0; channel < planes.channels; channel++) {
        float *const plane = planes.plane(channel);
        for (int y = 0; y < height; y++) {
            float *const row = plane + std::size_t(y) * columns;
            for (int x = width; x < planes.width; x++)
                row[x] = row[mirrored(x, width)];
        }
        for (int y = height; y < planes.height; y++)
            std::memcpy(plane + std::size_t(y) * columns,
                        plane + std::size_t(mirrored(y, height)) * columns,
                        columns * sizeof(float));
    }
}

}  // namespace hyperguide
