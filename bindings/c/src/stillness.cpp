#include "stillness.hpp"

#include <algorithm>
#include <cmath>

#include "blocks.hpp"
#include "error.hpp"

namespace hyperguide {

namespace {

// Rows and columns of a frame for each of a reduced one.
constexpr int REDUCTION = 8;
// How often reduced frames are halved to compare scenes.
constexpr int HALVINGS_TO_COMPARE = 2;
// Mean square differences, in parts of what noise alone gives, up to which a part counts as still,
// and from which on as moving. They are means over a window of reduced pixels; of those of white
// noise, 0.1 % are above 3. What is within reach of something that moves counts as moving, too.
constexpr float STILL = 4.0f, MOVING = 8.0f;
constexpr int WINDOW = 3, REACH = 3;
// Variance of a difference of reduced frames, in parts of that of the noise in a pixel.
constexpr float NOISE_LEFT =
    2 * (0.299f * 0.299f + 0.587f * 0.587f + 0.114f * 0.114f) / (REDUCTION * REDUCTION);
// Smaller changes do not matter. In Python, this is the variance that rounding to bytes adds.
constexpr float ROUNDING = 8.0f / 12 / (255 * 255);
// The noise of cameras is correlated, and that of gray frames is the same in all planes, so a
// block's mean has up to this many times the variance that it has in white noise. How many times,
// the value tells that a fifth of the frame stays below: in white noise 0.6, by the chi-square
// distribution with 9 degrees of freedom.
constexpr float MOST_CORRELATED = 16.0f;
constexpr float QUIET = 0.2f, QUIET_VALUE = 0.6f;
// Noise of videos for tasks whose map does not tell it: that of good cameras, full scale = 1.
constexpr float USUAL_NOISE = 4.0f / 255;

// Every eighth value of a map of a whole frame.
void thinned(const Floats &map, int width, Planes &out) {
    float *to = out.plane(0);
    for (int y = 0; y < out.height; y++, to += out.width) {
        const float *row = map.data() + std::size_t(y) * REDUCTION * width;
        for (int x = 0; x < out.width; x++)
            to[x] = row[x * REDUCTION];
    }
}

}  // namespace

void reduced(const Planes &frame, Planes &out) {
    Planes means;
    means.resize(frame.channels, std::max(frame.height / REDUCTION, 1),
                 std::max(frame.width / REDUCTION, 1));
    for (int channel = 0; channel < frame.channels; channel++)
        block_means(frame.plane(channel), frame.height, frame.width, REDUCTION, means.height,
                    means.width, 1, means.plane(channel));
    to_gray(means, out);
}

void difference(const Planes &one, const Planes &other, Planes &out) {
    out.resize(1, one.height, one.width);
    for (std::size_t i = 0; i < out.values.size(); i++)
        out.values[i] = one.values[i] - other.values[i];
}

bool is_cut(const Planes &change) {
    Planes coarse = change;
    for (int i = 0; i < HALVINGS_TO_COMPARE; i++) {  // so that noise does not count
        Planes half;
        halved(coarse, half);
        coarse = std::move(half);
    }
    double sum = 0;
    for (float value : coarse.values)
        sum += std::fabs(value);
    return sum >= CUT * double(coarse.values.size());
}

void stillness(const Planes &change, const Planes &noise, Planes &still) {
    Planes square = change, excess;
    for (float &value : square.values)
        value *= value;
    box_blur(square, WINDOW, excess);
    for (std::size_t i = 0; i < excess.values.size(); i++)
        excess.values[i] /= NOISE_LEFT * noise.values[i] * noise.values[i] + ROUNDING;
    Floats some;
    sampled(excess, 2, some);
    const auto quiet = some.begin() + std::ptrdiff_t(QUIET * float(some.size()));
    std::nth_element(some.begin(), quiet, some.end());
    const float correlation = std::min(std::max(*quiet / QUIET_VALUE, 1.0f), MOST_CORRELATED);
    for (float &value : excess.values) {
        const float stands = (MOVING - value / correlation) / (MOVING - STILL);
        value = std::min(std::max(stands, 0.0f), 1.0f);
    }
    erode(excess, REACH, still);
}

void enlarged(const Planes &reduced_map, int height, int width, Floats &out) {
    out.resize(std::size_t(height) * width);
    Enlarger enlarger;
    enlarger.start(reduced_map, height, width);
    for (int y = 0; y < height; y++)
        std::copy_n(enlarger.row(y), width, out.data() + std::size_t(y) * width);
}

bool Smoothing::memory(const Planes &frame, float weight, Floats &guidance, Floats &mix) {
    looked_ = weight > 0;
    if (!looked_)
        return false;
    if (height_ != frame.height || width_ != frame.width)
        guidance_.clear();
    height_ = frame.height, width_ = frame.width;
    reduced(frame, glance_);
    if (!is_finite(glance_))
        throw Error(HG_BAD_ARGUMENT, "The picture contains NaN or infinity: replace those pixels "
                                     "first.");
    if (guidance_.empty())
        return false;
    difference(glance_, before_, change_);
    if (is_cut(change_))
        return false;
    noise_.resize(1, change_.height, change_.width);
    if (is_noise_)
        thinned(guidance_, width_, noise_);
    else
        std::fill(noise_.values.begin(), noise_.values.end(), USUAL_NOISE);
    stillness(change_, noise_, still_);
    for (float &value : still_.values)
        value *= weight;
    guidance = guidance_;
    enlarged(still_, height_, width_, mix);
    return true;
}

void Smoothing::remember(const float *guidance) {
    if (!looked_)
        return;
    std::swap(before_, glance_);
    guidance_.assign(guidance, guidance + std::size_t(height_) * width_);
    looked_ = false;
}

void Smoothing::reset() {
    looked_ = false;
    guidance_.clear();
}

}  // namespace hyperguide
