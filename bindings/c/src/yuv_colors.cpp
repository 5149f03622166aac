#include "yuv_colors.hpp"

#include <algorithm>

#include "pixels_vector.hpp"
#include "yuv_rows.hpp"

namespace hyperguide {

namespace {

// What chroma adds to luma.
struct Gains {
    float red_v, green_u, green_v, blue_u;
};

Gains gains_of(hg_matrix matrix) {
    const LumaWeights w = luma_weights(matrix);
    const float red_v = 2 * (1 - w.red), blue_u = 2 * (1 - w.blue);
    return {red_v, blue_u * w.blue / w.green, red_v * w.red / w.green, blue_u};
}

// Twice the width and a quarter of the way to the row above or below. Chroma rows have one value
// more at both ends; `blended` is as long.
HG_VECTORISED void enlarge(const float *__restrict near, const float *__restrict far, int width,
                           float *__restrict blended, float *__restrict wide) {
    for (int x = 0; x < width + 2; x++)
        blended[x] = 0.75f * near[x] + 0.25f * far[x];
    for (int x = 0; x < width; x++) {
        wide[2 * x] = 0.75f * blended[x + 1] + 0.25f * blended[x];
        wide[2 * x + 1] = 0.75f * blended[x + 1] + 0.25f * blended[x + 2];
    }
}

HG_VECTORISED void to_rgb(const float *__restrict luma, const float *__restrict u,
                          const float *__restrict v, Gains gains, int width, float *__restrict red,
                          float *__restrict green, float *__restrict blue) {
    for (int x = 0; x < width; x++) {
        red[x] = limited(luma[x] + gains.red_v * v[x], 1);
        green[x] = limited(luma[x] - gains.green_u * u[x] - gains.green_v * v[x], 1);
        blue[x] = limited(luma[x] + gains.blue_u * u[x], 1);
    }
}

HG_VECTORISED void to_gray(const float *__restrict luma, int width, float *__restrict gray) {
    for (int x = 0; x < width; x++)
        gray[x] = limited(luma[x], 1);
}

}  // namespace

LumaWeights luma_weights(hg_matrix matrix) {
    const auto weights = [](double red, double blue) {
        return LumaWeights{float(red), float(1 - red - blue), float(blue)};
    };
    switch (matrix) {
    case HG_BT601:
        return weights(0.299, 0.114);
    case HG_BT2020:
        return weights(0.2627, 0.0593);
    default:
        return weights(0.2126, 0.0722);
    }
}

YuvReader::YuvReader(const View &picture)
    : picture(picture), chroma_width(picture.planes[1].width),
      chroma_height(picture.planes[1].height), last_luma(std::size_t(picture.width)) {
    const auto width = std::size_t(chroma_width);
    for (Slot &slot : slots)
        slot.u.resize(width + 2), slot.v.resize(width + 2);
    blended.resize(width + 2);
    u.resize(2 * width), v.resize(2 * width);
}

const YuvReader::Slot &YuvReader::slot(int row) {
    Slot &slot = slots[row % 2];
    if (slot.row != row) {
        read_chroma(picture, row, slot.u.data() + 1, slot.v.data() + 1);
        const auto last = std::size_t(chroma_width);
        for (auto *values : {&slot.u, &slot.v}) {
            (*values)[0] = (*values)[1];
            (*values)[last + 1] = (*values)[last];
        }
        slot.row = row;
    }
    return slot;
}

YuvReader::Chroma YuvReader::chroma(int row) {
    const Slot &found = slot(row);
    return {found.u.data() + 1, found.v.data() + 1};
}

void YuvReader::read_rgb(int y, float *red, float *green, float *blue) {
    read_luma(picture, y, last_luma.data());
    const int beside = y / 2 + (y % 2 == 0 ? -1 : 1);
    const Slot &near = slot(y / 2);
    const Slot &far = slot(std::clamp(beside, 0, chroma_height - 1));
    enlarge(near.u.data(), far.u.data(), chroma_width, blended.data(), u.data());
    enlarge(near.v.data(), far.v.data(), chroma_width, blended.data(), v.data());
    to_rgb(last_luma.data(), u.data(), v.data(), gains_of(picture.matrix), picture.width, red,
           green, blue);
}

void YuvReader::read_gray(int y, float *gray) {
    read_luma(picture, y, last_luma.data());
    to_gray(last_luma.data(), picture.width, gray);
}

}  // namespace hyperguide
