#include "pixels.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

#include "error.hpp"
#include "pixels_padding.hpp"
#include "pixels_rows.hpp"
#include "text.hpp"
#include "yuv.hpp"
#include "yuv_rows.hpp"

namespace hyperguide {

namespace {

// Noise and filters may exceed [0, 1] a little; 0..255 is a mistake.
constexpr float LOWEST = -1, HIGHEST = 2;

// Rows across a picture that are compared first.
constexpr int PROBES = 16;

[[noreturn]] void refuse(const std::string &sentence) {
    throw Error(HG_BAD_ARGUMENT, sentence);
}

// Says what is wrong with a picture of which some row is not within the range.
[[noreturn]] void refuse_floats(const View &picture) {
    const Plane &plane = picture.planes[0];
    float low = 0, high = 0;
    for (int y = 0; y < plane.height; y++) {
        const auto *row = reinterpret_cast<const float *>(plane.row(y));
        for (int x = 0; x < 3 * plane.width; x++) {
            if (!std::isfinite(row[x]))
                refuse("The picture contains NaN or infinity: replace those pixels first.");
            low = std::min(low, row[x]), high = std::max(high, row[x]);
        }
    }
    refuse("The picture has the value " + written(high > HIGHEST ? high : low) +
           ", but float pictures go from 0 to 1: divide by full scale (255, say) or clip it "
           "first.");
}

void read_rows(const View &picture, Planes &planes) {
    const Plane &plane = picture.planes[0];
    const bool is_repeated = picture.has_one_channel() && planes.channels == 3;
    const std::size_t row_bytes = std::size_t(picture.width) * sizeof(float);
    for (int y = 0; y < picture.height; y++) {
        const unsigned char *const row = plane.row(y);
        const std::size_t first = std::size_t(y) * std::size_t(planes.width);
        if (picture.format == HG_RGBF32 && !is_row_within(reinterpret_cast<const float *>(row),
                                                          3 * picture.width, LOWEST, HIGHEST))
            refuse_floats(picture);
        float *const into[3] = {planes.plane(0) + first,
                                planes.channels == 3 ? planes.plane(1) + first : nullptr,
                                planes.channels == 3 ? planes.plane(2) + first : nullptr};
        read_row(picture.format, row, picture.width, into);
        if (is_repeated) {
            std::memcpy(into[1], into[0], row_bytes);
            std::memcpy(into[2], into[0], row_bytes);
        }
    }
}

void write_rows(const Planes &planes, bool is_gray, const View &in, const View &out) {
    const int width = out.width;
    const bool is_averaged = is_gray && planes.channels == 3;
    const bool has_alpha = in.format == HG_RGBA && out.format == HG_RGBA;
    Floats mean(is_averaged ? std::size_t(width) : 0);
    std::vector<unsigned char> alpha(out.format == HG_RGBA ? std::size_t(width) : 0, 255);
    for (int y = 0; y < out.height; y++) {
        const std::size_t first = std::size_t(y) * std::size_t(planes.width);
        const float *rows[3];
        for (int channel = 0; channel < 3; channel++)
            rows[channel] = planes.plane(std::min(channel, planes.channels - 1)) + first;
        if (is_averaged) {
            mean_row(rows[0], rows[1], rows[2], width, mean.data());
            rows[0] = rows[1] = rows[2] = mean.data();
        }
        if (has_alpha)
            read_alpha(in.planes[0].row(y), width, alpha.data());
        write_row(out.format, rows, alpha.data(), width, out.planes[0].row(y));
    }
}

void write(const Planes &planes, bool is_gray, const View &in, const View &out) {
    assert(planes.channels == 1 || planes.channels == 3);
    assert(planes.width >= out.width && planes.height >= out.height);
    assert(in.width == out.width && in.height == out.height);
    // All is looked at before anything is written, so that a failed frame stays as it was.
    check_finite(planes, out.width, out.height);
    if (out.is_yuv())
        planes_to_yuv(planes, is_gray, in, out);
    else
        write_rows(planes, is_gray, in, out);
}

}  // namespace

void check_finite(const Planes &planes, int width, int height) {
    for (int channel = 0; channel < planes.channels; channel++)
        for (int y = 0; y < height; y++)
            if (!is_row_finite(planes.plane(channel) + std::size_t(y) * std::size_t(planes.width),
                               width))
                throw Error(HG_FAILED, "The engine computed NaN or infinity for this picture: "
                                       "turn its dials less.");
}

void to_planes(const View &picture, Planes &planes) {
    assert(planes.channels == 3 || picture.has_one_channel() || picture.is_yuv());
    assert(planes.width >= picture.width && planes.height >= picture.height);
    if (picture.is_yuv())
        yuv_to_planes(picture, planes);
    else
        read_rows(picture, planes);
    mirror_edges(planes, picture.width, picture.height);
}

void from_planes(const Planes &planes, const View &in, const View &out) {
    const bool is_gray = planes.channels == 1 || in.has_one_channel() || out.has_one_channel();
    write(planes, is_gray, in, out);
}

bool is_gray(const View &picture) {
    if (picture.has_one_channel())
        return false;
    if (picture.is_yuv())
        return has_neutral_chroma(picture);
    const Plane &plane = picture.planes[0];
    const auto is_gray_at = [&](int y) {
        return is_row_gray(picture.format, plane.row(y), picture.width);
    };
    for (int y = 0; y < picture.height; y += std::max(picture.height / PROBES, 1))
        if (!is_gray_at(y))
            return false;
    for (int y = 0; y < picture.height; y++)
        if (!is_gray_at(y))
            return false;
    return true;
}

void write_gray(const Planes &planes, const View &in, const View &out) {
    write(planes, true, in, out);
}

}  // namespace hyperguide
