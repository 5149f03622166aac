#include "temporal.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "blocks.hpp"
#include "error.hpp"
#include "stillness.hpp"

namespace hyperguide {

namespace {

constexpr float FULL_SCALE = 255;
// Noise below this level is left to the network.
constexpr float QUIET = 2.0f;
// How much an unexplained difference counts against the frames before it.
constexpr float CAUTION = 4.0f;
// Below so many frames, those before are forgotten.
constexpr float FORGOTTEN = 0.25f;
// The count of what has come into sight: it is forgotten, and nothing is divided by zero.
constexpr float NEW = 0.05f;
// An average of up to 2 frames is not used yet, one of 4 and more is: motion that one frame hides
// in its noise shows after some more.
constexpr float TESTED[] = {2.0f, 4.0f};
// Percentiles at which maps and differences of frames are read. Texture raises some values of maps;
// differences are read only where they were small.
constexpr float OF_MAPS = 60, OF_DIFFERENCES = 40;
// About how many blocks of a frame are read.
constexpr double SAMPLES = 6000;
// A map is read where no average was used within so many blocks: networks look that far around.
constexpr int AROUND = 9;
// Every so many-th block of every so many-th row is enough for a percentile.
constexpr int STEP = 4;
// The deviation of a block's mean gray, in parts of that of its pixels.
constexpr float GRAY_NOISE = 1.2f / BLOCK;

}  // namespace

bool TemporalAverage::next(const Planes &frame, const float *noise_level, Planes &picture,
                           Floats &noise) {
    block_means(frame, BLOCK, FULL_SCALE, frame_blocks_);
    if (!is_finite(frame_blocks_))
        throw Error(HG_BAD_ARGUMENT, "The picture contains NaN or infinity: replace those pixels "
                                     "first.");
    const bool is_known = noise_level || curve_.known();
    if (!is_known || !continues(frame)) {
        reset();
        start(frame);
        return false;
    }
    if (!noise_level && curve_.largest() < QUIET) {
        start(frame);
        return false;
    }
    if (motion_) {
        find_sigma(noise_level);
        follow_motion();
    }
    compare_blocks(frame, average_, BLOCK, FULL_SCALE, blocks_, differences_);
    find_sigma(noise_level);
    count_frames(!noise_level);
    mix(frame, gave_noise_, picture);
    if (!gave_noise_)
        return false;
    noise.resize(frame.pixels());
    enlarger_.start(noise_, blocks_.height * BLOCK, blocks_.width * BLOCK);
    for (int y = 0; y < frame.height; y++) {
        const float *row = enlarger_.row(y);
        float *to = noise.data() + std::size_t(y) * frame.width;
        for (int x = 0; x < frame.width; x++)
            to[x] = row[x] * (1 / FULL_SCALE);
    }
    return true;
}

void TemporalAverage::learn(const float *guidance) {
    if (!guidance || !started_)
        return;
    found_.resize(1, blocks_.height, blocks_.width);
    block_means(guidance, average_.height, average_.width, BLOCK, found_.height, found_.width,
                FULL_SCALE, found_.plane(0));
    if (gave_noise_)
        for (std::size_t i = 0; i < found_.values.size(); i++)
            found_.values[i] = (found_.values[i] - MIX * noise_.values[i]) / (1 - MIX);
    agree_.resize(1, blocks_.height, blocks_.width);
    for (std::size_t i = 0; i < agree_.values.size(); i++)
        agree_.values[i] = used_.values[i] < 0.9f ? 0.0f : 1.0f;
    erode(agree_, AROUND, fresh_);
    learn_from(found_, fresh_, OF_MAPS);
}

void TemporalAverage::reset() {
    started_ = gave_noise_ = false;
    curve_.reset();
    agreement_.reset();
}

// After the first frame.
void TemporalAverage::start(const Planes &frame) {
    started_ = gave_noise_ = false;  // should memory run out
    average_ = frame;
    std::swap(blocks_, frame_blocks_);
    for (Planes *ones : {&count_, &used_}) {
        ones->resize(1, blocks_.height, blocks_.width);
        std::fill(ones->values.begin(), ones->values.end(), 1.0f);
    }
    started_ = true;
}

// Whether a frame shows the same scene as the frames before.
bool TemporalAverage::continues(const Planes &frame) const {
    if (!started_ || average_.channels != frame.channels || average_.height != frame.height ||
        average_.width != frame.width)
        return false;
    double sum = 0;
    for (std::size_t i = 0; i < blocks_.values.size(); i++)
        sum += std::fabs(frame_blocks_.values[i] - blocks_.values[i]);
    return sum < FULL_SCALE * CUT * double(blocks_.values.size());
}

void TemporalAverage::follow_motion() {
    sampled(sigma_, STEP, some_);
    to_gray(blocks_, gray_);
    to_gray(frame_blocks_, frame_gray_);
    const Motion &motion = search_(gray_, frame_gray_, GRAY_NOISE * percentile(some_, 50), BLOCK);
    if (motion.still())
        return;
    motion.applied(average_, moved_);
    motion.applied_to_reduced(count_, 0, moved_count_);
    std::swap(average_, moved_);
    std::swap(count_, moved_count_);
}

// The noise level of each block. `blocks_` tell how bright it is.
void TemporalAverage::find_sigma(const float *noise_level) {
    sigma_.resize(1, blocks_.height, blocks_.width);
    if (!noise_level) {
        find_brightness();
        for (std::size_t i = 0; i < sigma_.values.size(); i++)
            sigma_.values[i] = curve_.at(brightness_.values[i]);
        return;
    }
    block_means(noise_level, average_.height, average_.width, BLOCK, sigma_.height, sigma_.width,
                FULL_SCALE, sigma_.plane(0));
    if (!is_finite(sigma_))
        throw Error(HG_BAD_ARGUMENT, "The map contains NaN or infinity: replace those values "
                                     "first.");
}

void TemporalAverage::find_brightness() {
    to_gray(blocks_, gray_);
    box_blur(gray_, 3, brightness_);
}

// How many frames count in each block, and what is left of the noise.
// learns: whether the differences tell the noise level.
void TemporalAverage::count_frames(bool learns) {
    agreement_.energy_of_blocks(differences_, energy_);
    variance_.resize(1, blocks_.height, blocks_.width);
    for (std::size_t i = 0; i < variance_.values.size(); i++) {
        const float sigma = sigma_.values[i];
        const float spread = 1 + 1 / std::max(count_.values[i], NEW);
        variance_.values[i] = (sigma * sigma + 1e-3f) * spread;
    }
    agreement_.bias(frame_blocks_, blocks_, energy_, variance_, bias_);
    const bool is_coarse = agreement_.coarse();  // maps show less than there is then
    for (Planes *planes : {&found_, &agree_, &used_, &noise_})
        planes->resize(1, blocks_.height, blocks_.width);
    float least_used = 1;
    for (std::size_t i = 0; i < variance_.values.size(); i++) {
        const float sigma = sigma_.values[i], before = count_.values[i];
        const float counted = std::max(before, NEW);
        float kept = 1 / (1 / counted + CAUTION * bias_.values[i] / (sigma * sigma + 1e-6f));
        if (kept < FORGOTTEN || sigma < QUIET)
            kept = 0;
        found_.values[i] = std::sqrt(std::max(energy_.values[i], 0.0f) / (1 + 1 / counted));
        const bool agrees = (before >= 2 && kept > 0.5f * before) || (is_coarse && before > 0);
        agree_.values[i] = agrees ? 1.0f : 0.0f;
        count_.values[i] = std::min(kept + 1, float(limit_));
        const float share =
            std::min(std::max((kept - TESTED[0]) / (TESTED[1] - TESTED[0]), 0.0f), 1.0f);
        const float used = 1 / (1 + std::min(kept, float(limit_ - 1)) * share);
        least_used = std::min(least_used, used);
        used_.values[i] = used;
        noise_.values[i] =
            sigma * std::sqrt(used * used + (1 - used) * (1 - used) / std::max(kept, 1.0f));
    }
    gave_noise_ = least_used < 1;
    if (learns)
        learn_from(found_, agree_, OF_DIFFERENCES);
}

// Learns the noise level from the levels of blocks where `where` is not zero.
void TemporalAverage::learn_from(const Planes &levels, const Planes &where, float percent) {
    const double times = std::sqrt(double(levels.values.size()) / SAMPLES);
    const int step = std::max(int(std::lround(times)), 1);
    find_brightness();
    measured_.clear();
    measured_brightness_.clear();
    for (int y = 0; y < levels.height; y += step)
        for (int x = 0; x < levels.width; x += step) {
            const std::size_t i = std::size_t(y) * levels.width + x;
            if (where.values[i] == 0 || !std::isfinite(levels.values[i]))
                continue;
            measured_.push_back(levels.values[i]);
            measured_brightness_.push_back(brightness_.values[i]);
        }
    curve_.learn(measured_, measured_brightness_, percent);
}

// The means of the new average, as if shares were constant within blocks. Python compares the next
// frame with those of the average before this frame, which lag behind motion.
void TemporalAverage::mix_blocks() {
    fresh_.resize(1, blocks_.height, blocks_.width);
    for (std::size_t i = 0; i < fresh_.values.size(); i++)
        fresh_.values[i] = 1 / count_.values[i];
    for (int channel = 0; channel < blocks_.channels; channel++)
        blend_into(frame_blocks_.plane(channel), fresh_.plane(0), int(blocks_.pixels()),
                   blocks_.plane(channel));
}

// Mixes the frame into the average, and the old average with the frame into the picture.
void TemporalAverage::mix(const Planes &frame, bool is_used, Planes &picture) {
    sampled(sigma_, STEP, some_);
    const float level = percentile(some_, 75);
    const auto [darkest, brightest] =
        std::minmax_element(frame_blocks_.values.begin(), frame_blocks_.values.end());
    std::optional<UnclippedMeans> unclipped;
    if (*darkest < 2 * level || *brightest > FULL_SCALE - 2 * level)
        unclipped.emplace(level);
    mix_blocks();
    const int height = blocks_.height * BLOCK, width = blocks_.width * BLOCK;
    fresh_enlarger_.start(fresh_, height, width);
    enlarger_.start(used_, height, width);
    if (is_used)
        picture.resize(frame.channels, frame.height, frame.width);
    row_.resize(frame.width);
    for (int y = 0; y < frame.height; y++) {
        const float *fresh = fresh_enlarger_.row(y);
        const float *used = is_used ? enlarger_.row(y) : nullptr;
        const std::size_t at = std::size_t(y) * frame.width;
        for (int channel = 0; channel < frame.channels; channel++) {
            const float *now = frame.plane(channel) + at;
            float *average = average_.plane(channel) + at;
            if (is_used) {
                const float *before = average;
                if (unclipped) {
                    unclipped->apply(average, frame.width, row_.data());
                    before = row_.data();
                }
                blend(now, before, used, frame.width, picture.plane(channel) + at);
            }
            blend_into(now, fresh, frame.width, average);
        }
    }
}

}  // namespace hyperguide
