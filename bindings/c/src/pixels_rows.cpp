#include "pixels_rows.hpp"

#include <cstdint>
#include <cstring>

#include "pixels_vector.hpp"

namespace hyperguide {

namespace {

using Byte = unsigned char;

constexpr float FULL_8 = 255, FULL_16 = 65535;
// Python multiplies by the reciprocal, which is not the same as to divide.
constexpr float PER_FULL_8 = float(1.0 / 255), PER_FULL_16 = float(1.0 / 65535);

HG_VECTORISED void read_bytes(const Byte *__restrict row, int width, float *__restrict plane) {
    for (int x = 0; x < width; x++)
        plane[x] = float(row[x]) * PER_FULL_8;
}

HG_VECTORISED void read_words(const std::uint16_t *__restrict row, int width,
                              float *__restrict plane) {
    for (int x = 0; x < width; x++)
        plane[x] = float(row[x]) * PER_FULL_16;
}

HG_VECTORISED void read_three(const Byte *__restrict row, int width, float *__restrict first,
                              float *__restrict second, float *__restrict third) {
    for (int x = 0; x < width; x++) {
        first[x] = float(row[3 * x]) * PER_FULL_8;
        second[x] = float(row[3 * x + 1]) * PER_FULL_8;
        third[x] = float(row[3 * x + 2]) * PER_FULL_8;
    }
}

HG_VECTORISED void read_four(const Byte *__restrict row, int width, float *__restrict first,
                             float *__restrict second, float *__restrict third) {
    for (int x = 0; x < width; x++) {
        first[x] = float(row[4 * x]) * PER_FULL_8;
        second[x] = float(row[4 * x + 1]) * PER_FULL_8;
        third[x] = float(row[4 * x + 2]) * PER_FULL_8;
    }
}

HG_VECTORISED void read_floats(const float *__restrict row, int width, float *__restrict first,
                               float *__restrict second, float *__restrict third) {
    for (int x = 0; x < width; x++) {
        first[x] = row[3 * x];
        second[x] = row[3 * x + 1];
        third[x] = row[3 * x + 2];
    }
}

HG_VECTORISED void read_fourth(const Byte *__restrict row, int width, Byte *__restrict fourth) {
    for (int x = 0; x < width; x++)
        fourth[x] = row[4 * x + 3];
}

inline std::uint32_t word_of(float value) {
    return std::uint32_t(rounded(limited(value * FULL_8, FULL_8)));
}

inline Byte byte_of(float value) {
    return Byte(word_of(value));
}

HG_VECTORISED void write_bytes(const float *__restrict plane, int width, Byte *__restrict row) {
    for (int x = 0; x < width; x++)
        row[x] = byte_of(plane[x]);
}

HG_VECTORISED void write_words(const float *__restrict plane, int width,
                               std::uint16_t *__restrict row) {
    for (int x = 0; x < width; x++)
        row[x] = std::uint16_t(rounded(limited(plane[x] * FULL_16, FULL_16)));
}

HG_VECTORISED void write_three(const float *__restrict first, const float *__restrict second,
                               const float *__restrict third, int width, Byte *__restrict row) {
    for (int x = 0; x < width; x++) {
        row[3 * x] = byte_of(first[x]);
        row[3 * x + 1] = byte_of(second[x]);
        row[3 * x + 2] = byte_of(third[x]);
    }
}

HG_VECTORISED void write_four(const float *__restrict first, const float *__restrict second,
                              const float *__restrict third, const Byte *__restrict fourth,
                              int width, Byte *__restrict row) {
    // Four separate bytes would not be vectorised.
    for (int x = 0; x < width; x++) {
        const std::uint32_t pixel = word_of(first[x]) | word_of(second[x]) << 8 |
                                    word_of(third[x]) << 16 | std::uint32_t(fourth[x]) << 24;
        std::memcpy(row + 4 * x, &pixel, sizeof pixel);
    }
}

HG_VECTORISED void write_floats(const float *__restrict first, const float *__restrict second,
                                const float *__restrict third, int width, float *__restrict row) {
    for (int x = 0; x < width; x++) {
        row[3 * x] = first[x];
        row[3 * x + 1] = second[x];
        row[3 * x + 2] = third[x];
    }
}

// Differences are collected rather than looked for one by one, which vectorises.
template <typename Value> bool are_gray(const Value *row, int width, int step) {
    bool differ = false;
    for (int x = 0; x < width; x++, row += step)
        differ |= (row[0] != row[1]) | (row[0] != row[2]);
    return !differ;
}

HG_VECTORISED void add_and_divide(const float *__restrict first, const float *__restrict second,
                                  const float *__restrict third, int width,
                                  float *__restrict mean) {
    for (int x = 0; x < width; x++)
        mean[x] = (first[x] + second[x] + third[x]) / 3.0f;
}

HG_VECTORISED std::int32_t largest_magnitude(const float *row, int width) {
    std::int32_t largest = 0;
    for (int x = 0; x < width; x++)
        largest = std::max(largest, magnitude_bits(row[x]));
    return largest;
}

// The magnitudes of the highest and of the lowest value, as bits, which are in their order. NaN and
// infinity count as beyond all others.
struct Extremes {
    std::int32_t high, low;
};

HG_VECTORISED Extremes extremes_of(const float *row, int width) {
    std::int32_t high = 0, low = 0;
    for (int x = 0; x < width; x++) {
        const std::int32_t bits = bits_of(row[x]), sign = bits >> 31;
        high = std::max(high, bits);
        low = std::max(low, sign & bits & 0x7fffffff);
    }
    return {high, low};
}

}  // namespace

void read_row(hg_format format, const Byte *row, int width, float *const planes[3]) {
    switch (format) {
    case HG_BGR24:
        return read_three(row, width, planes[2], planes[1], planes[0]);
    case HG_RGBA:
        return read_four(row, width, planes[0], planes[1], planes[2]);
    case HG_GRAY8:
        return read_bytes(row, width, planes[0]);
    case HG_GRAY16:
        return read_words(reinterpret_cast<const std::uint16_t *>(row), width, planes[0]);
    case HG_RGBF32:
        return read_floats(reinterpret_cast<const float *>(row), width, planes[0], planes[1],
                           planes[2]);
    default:
        return read_three(row, width, planes[0], planes[1], planes[2]);
    }
}

void read_alpha(const Byte *row, int width, Byte *alpha) {
    read_fourth(row, width, alpha);
}

void write_row(hg_format format, const float *const planes[3], const Byte *alpha, int width,
               Byte *row) {
    switch (format) {
    case HG_BGR24:
        return write_three(planes[2], planes[1], planes[0], width, row);
    case HG_RGBA:
        return write_four(planes[0], planes[1], planes[2], alpha, width, row);
    case HG_GRAY8:
        return write_bytes(planes[0], width, row);
    case HG_GRAY16:
        return write_words(planes[0], width, reinterpret_cast<std::uint16_t *>(row));
    case HG_RGBF32:
        return write_floats(planes[0], planes[1], planes[2], width, reinterpret_cast<float *>(row));
    default:
        return write_three(planes[0], planes[1], planes[2], width, row);
    }
}

bool is_row_gray(hg_format format, const Byte *row, int width) {
    if (format == HG_RGBF32)
        return are_gray(reinterpret_cast<const float *>(row), width, 3);
    return are_gray(row, width, format == HG_RGBA ? 4 : 3);
}

void mean_row(const float *first, const float *second, const float *third, int width, float *mean) {
    add_and_divide(first, second, third, width, mean);
}

bool is_row_finite(const float *row, int width) {
    return largest_magnitude(row, width) < not_finite;
}

bool is_row_within(const float *row, int width, float low, float high) {
    const Extremes found = extremes_of(row, width);
    return found.high <= bits_of(high) && found.low <= bits_of(-low);
}

}  // namespace hyperguide
