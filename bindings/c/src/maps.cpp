#include "maps.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.hpp"
#include "picture.hpp"
#include "stillness.hpp"
#include "text.hpp"

namespace hyperguide {

namespace {

constexpr int LARGEST_KERNEL = 255;
// Maps come from float arithmetic and from files, and may exceed the range by a rounding error.
constexpr float ROUNDING = 1e-5f;
constexpr double SUM_TOLERANCE = 1e-3;

std::ptrdiff_t stride_of(const hg_map &map) {
    return map.stride ? map.stride : std::ptrdiff_t(sizeof(float)) * map.width;
}

float *row_of(const hg_map &map, int y) {
    return reinterpret_cast<float *>(reinterpret_cast<char *>(map.values) + stride_of(map) * y);
}

}  // namespace

void check_map(const hg_map &map, const char *what) {
    const std::string the = std::string("The ") + what;
    if (!map.values)
        throw Error(HG_BAD_ARGUMENT, the + " has no values: give the address of its first row.");
    if (map.width < 1 || map.height < 1 || map.width > LARGEST_SIDE || map.height > LARGEST_SIDE ||
        std::int64_t(map.width) * map.height > MOST_PIXELS)
        throw Error(HG_BAD_ARGUMENT, the + " has the size " + std::to_string(map.width) + "x" +
                                         std::to_string(map.height) + ": set width and height.");
    if (stride_of(map) < std::ptrdiff_t(sizeof(float)) * map.width)
        throw Error(HG_BAD_ARGUMENT, the + " has a stride shorter than a row: give the bytes from a "
                                           "row to the next.");
    if (exceeds_memory(map.values, stride_of(map), sizeof(float) * map.width, map.height))
        throw Error(HG_BAD_ARGUMENT, the + " has a stride that exceeds the memory: give the bytes "
                                           "from a row to the next.");
    if (reinterpret_cast<std::uintptr_t>(map.values) % sizeof(float) ||
        map.stride % std::ptrdiff_t(sizeof(float)))
        throw Error(HG_BAD_ARGUMENT, the + " is not aligned to its values of four bytes.");
}

void read_map(const hg_map &map, const ModelInfo &info, int height, int width, Planes &out) {
    const bool fits = map.height == height && map.width == width;
    Planes other;
    Planes &own = fits ? out : other;
    own.resize(1, map.height, map.width);
    for (int y = 0; y < map.height; y++)
        std::memcpy(own.plane(0) + std::size_t(y) * map.width, row_of(map, y),
                    sizeof(float) * map.width);
    for (float &value : own.values) {
        if (!(value >= info.minimum - ROUNDING && value <= info.maximum + ROUNDING))
            throw Error(HG_BAD_ARGUMENT, "The guidance map has the value " + written(value) +
                                             ", outside " + written(info.minimum) + " to " +
                                             written(info.maximum) + " (" + info.guidance +
                                             "): give values in that range.");
        value = std::clamp(value, info.minimum, info.maximum);
    }
    if (!fits) {
        out.resize(1, height, width);
        enlarged(own, height, width, out.values);
    }
}

void write_map(const Planes &from, const hg_map &to) {
    for (int y = 0; y < from.height; y++)
        std::memcpy(row_of(to, y), from.plane(0) + std::size_t(y) * from.width,
                    sizeof(float) * from.width);
}

Floats read_kernel(const float *values, std::int32_t rows, std::int32_t columns) {
    if (rows < 1 || columns < 1 || rows % 2 == 0 || columns % 2 == 0 || rows > LARGEST_KERNEL ||
        columns > LARGEST_KERNEL)
        throw Error(HG_BAD_ARGUMENT, "The kernel of " + std::to_string(rows) + "x" +
                                         std::to_string(columns) + " must have odd sides up to " +
                                         std::to_string(LARGEST_KERNEL) + ": pad it with zeros.");
    const std::size_t size = std::size_t(rows) * columns;
    double total = 0;
    for (std::size_t i = 0; i < size; i++) {
        if (!(values[i] >= 0) || !std::isfinite(values[i]))
            throw Error(HG_BAD_ARGUMENT, "The kernel has values that are negative, NaN or infinite: "
                                         "mend or remove it.");
        total += values[i];
    }
    if (!(std::abs(total - 1) <= SUM_TOLERANCE))
        throw Error(HG_BAD_ARGUMENT, "The kernel sums up to " + written(total) +
                                         " instead of 1: divide it by its sum.");
    Floats kernel(size);
    std::transform(values, values + size, kernel.begin(),
                   [total](float value) { return float(double(value) / total); });
    return kernel;
}

}  // namespace hyperguide
