#include "agreement.hpp"

#include <algorithm>
#include <cmath>

#include "filters.hpp"

namespace hyperguide {

namespace {

// A square of blocks, and how many times the variance of noise its squared mean difference may be:
// for pictures of three channels, and of one.
struct MeanLimit {
    int side;
    float for_color, for_gray;
};
constexpr MeanLimit MEANS[] = {{1, 5.0f, 9.8f}, {3, 3.0f, 4.8f}, {5, 3.0f, 4.8f}, {15, 3.0f, 4.8f}};
// The same for the energy of differences, for three channels. What one square shows is not counted
// again in the larger ones.
struct EnergyLimit {
    int side;
    float limit;
};
constexpr EnergyLimit ENERGIES[] = {{3, 1.2f}, {9, 1.1f}, {15, 1.06f}};
// Median of the mean of three squared normal numbers, and of one.
constexpr float MEDIAN = 0.789f, MEDIAN_GRAY = 0.455f;
// The factors of coarse noise: how much they may grow from a square to the next, their bound, from
// where on noise is called coarse, and the share of each new measurement.
constexpr float ALIKE = 1.35f, COARSEST = 16.0f, COARSE = 1.5f, PACE = 0.3f;
// The energy of coarse noise varies more: the excess may be larger by the factor of the second
// squares, but not by more than this.
constexpr float ROUGHEST = 4.0f;
// Mean absolute value of a normal distribution of deviation 1, sqrt(2 / pi).
constexpr float MEAN_ABSOLUTE = 0.798f;
// Channels of a gray picture differ by no more than this, in levels.
constexpr float EQUAL = 0.01f;
// Every so many-th block of every so many-th row is enough for a median.
constexpr int STEP = 4;

void mean_of_channels(const Planes &in, Planes &out) {
    out.resize(1, in.height, in.width);
    if (in.channels == 1) {
        out.values = in.values;
        return;
    }
    const float *one = in.plane(0), *two = in.plane(1), *three = in.plane(2);
    for (std::size_t i = 0; i < in.pixels(); i++)
        out.values[i] = (one[i] + two[i] + three[i]) * (1.0f / 3);
}

bool is_gray(const Planes &in) {
    float most = 0;
    for (int channel = 1; channel < in.channels; channel++)
        for (std::size_t i = 0; i < in.pixels(); i++)
            most = std::max(most, std::fabs(in.plane(channel)[i] - in.plane(0)[i]));
    return most <= EQUAL;
}

}  // namespace

void Agreement::energy_of_blocks(const Planes &differences, Planes &energy) {
    mean_of_channels(differences, mean_);
    box_blur(mean_, ENERGIES[0].side, energy);
    for (float &value : energy.values)
        value *= value * (1 / (MEAN_ABSOLUTE * MEAN_ABSOLUTE));
}

void Agreement::bias(const Planes &frame, const Planes &average, const Planes &energy,
                     const Planes &variance, Planes &bias) {
    difference_.resize(frame.channels, frame.height, frame.width);
    for (std::size_t i = 0; i < difference_.values.size(); i++)
        difference_.values[i] = frame.values[i] - average.values[i];
    if (is_gray(difference_)) {  // maybe in three channels: the first one tells all
        difference_.channels = 1;
        difference_.values.resize(difference_.pixels());
    }
    excess_.resize(1, frame.height, frame.width);
    std::fill(excess_.values.begin(), excess_.values.end(), 0.0f);
    compare_means(variance);
    compare_energies(energy, variance);
    dilate(excess_, 3, bias);
}

bool Agreement::coarse() const { return factors_[SQUARES - 1] > COARSE; }

void Agreement::compare_means(const Planes &variance) {
    const bool gray = difference_.channels == 1;
    std::array<float, SQUARES> found;
    for (int square = 0; square < SQUARES; square++) {
        const auto &[side, for_color, for_gray] = MEANS[square];
        if (side > 1)
            box_blur(difference_, side, blurred_);
        const Planes &means = side > 1 ? blurred_ : difference_;
        squares_ = means;
        for (float &value : squares_.values)
            value *= value;
        mean_of_channels(squares_, mean_);
        const float share = 1.0f / (side * BLOCK * side * BLOCK);
        const float limit = (gray ? for_gray : for_color) * share * factors_[square];
        for (std::size_t i = 0; i < excess_.values.size(); i++)
            excess_.values[i] =
                std::max(excess_.values[i], mean_.values[i] - limit * variance.values[i]);
        some_.clear();
        for (int y = 0; y < mean_.height; y += STEP)
            for (int x = 0; x < mean_.width; x += STEP) {
                const std::size_t i = std::size_t(y) * mean_.width + x;
                some_.push_back(mean_.values[i] / (variance.values[i] * share + 1e-6f));
            }
        found[square] = percentile(some_, 50) / (gray ? MEDIAN_GRAY : MEDIAN);
    }
    learn(found);
}

void Agreement::compare_energies(const Planes &energy, const Planes &variance) {
    const float rough =
        std::min(factors_[1], ROUGHEST) * std::sqrt(3.0f / float(difference_.channels));
    const auto limit_of = [&](int square) { return 1 + (ENERGIES[square].limit - 1) * rough; };
    unseen_.resize(1, energy.height, energy.width);
    ratios_.resize(1, energy.height, energy.width);
    for (std::size_t i = 0; i < energy.values.size(); i++) {
        const float of_noise = variance.values[i];
        float &excess = excess_.values[i];
        excess = std::max(excess, energy.values[i] - limit_of(0) * of_noise);
        unseen_.values[i] = excess <= 0 ? 1.0f : 0.0f;
        ratios_.values[i] = std::min(energy.values[i] / of_noise, 2.0f) * unseen_.values[i];
    }
    for (int square = 1; square < 3; square++) {
        box_blur(unseen_, ENERGIES[square].side, total_);
        box_blur(ratios_, ENERGIES[square].side, mean_);
        const float limit = limit_of(square);
        for (std::size_t i = 0; i < energy.values.size(); i++) {
            const float mean = mean_.values[i] / (total_.values[i] + 1e-3f);
            excess_.values[i] =
                std::max(excess_.values[i], (mean - limit) * variance.values[i]);
        }
    }
}

void Agreement::learn(const std::array<float, SQUARES> &found) {
    bool alike = true;
    for (int square = 2; square < SQUARES; square++)
        alike = alike && found[square] < ALIKE * found[square - 1];
    for (int square = 0; square < SQUARES; square++) {
        const float target = alike ? std::min(std::max(found[square], 1.0f), COARSEST) : 1.0f;
        factors_[square] += PACE * (target - factors_[square]);
    }
}

}  // namespace hyperguide
