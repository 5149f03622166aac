#include "noise_curve.hpp"

#include <algorithm>
#include <cmath>

#include "filters.hpp"

namespace hyperguide {

namespace {

constexpr int BINS = 16;
// Blocks at which a bin counts as much as the whole picture.
constexpr float TRUSTED = 20;
// Fewer blocks than this teach nothing.
constexpr std::size_t FEWEST = 64;
// Share of each new measurement.
constexpr float PACE = 0.2f;
constexpr double PI = 3.14159265358979323846;
// The smallest change of a mean that is made, in [0, 255].
constexpr float NOTICED = 0.02f;

// NaN becomes 0.
int to_byte(float brightness) {
    return brightness > 0 ? int(std::min(brightness, 255.0f) + 0.5f) : 0;
}

double density(double place) { return std::exp(-place * place / 2) / std::sqrt(2 * PI); }

double cumulative(double place) { return std::erfc(-place / std::sqrt(2.0)) / 2; }

// The mean of a normal distribution that is clipped to [0, 255].
double clipped_mean(double value, double level) {
    const double low = -value / level, high = (255 - value) / level;
    return value * (cumulative(high) - cumulative(low)) + level * (density(low) - density(high)) +
           255 * (1 - cumulative(high));
}

}  // namespace

float NoiseCurve::at(float brightness) const { return levels_[to_byte(brightness)]; }

float NoiseCurve::largest() const { return *std::max_element(levels_.begin(), levels_.end()); }

void NoiseCurve::learn(const Floats &measured, const Floats &brightness, float percent) {
    if (measured.size() < FEWEST)
        return;
    Floats all = measured, bins[BINS];
    const float whole = percentile(all, percent);
    for (std::size_t i = 0; i < measured.size(); i++)
        bins[to_byte(brightness[i]) / (256 / BINS)].push_back(measured[i]);
    float levels[BINS];
    for (int bin = 0; bin < BINS; bin++) {
        levels[bin] = whole;
        if (bins[bin].empty())
            continue;
        const float members = float(bins[bin].size());
        levels[bin] += members / (members + TRUSTED) * (percentile(bins[bin], percent) - whole);
    }
    for (int i = 0; i < 256; i++) {  // linear between the middles of the bins
        const float place = std::min(std::max((i + 0.5f) * BINS / 256 - 0.5f, 0.0f), BINS - 1.0f);
        const int before = std::min(int(place), BINS - 2);
        const float level =
            levels[before] + (place - before) * (levels[before + 1] - levels[before]);
        levels_[i] = known_ ? levels_[i] + PACE * (level - levels_[i]) : level;
    }
    known_ = true;
}

UnclippedMeans::UnclippedMeans(float level) {
    level = std::max(level, 0.1f);
    double value = 0, step = 0.5, before = 0, mean = clipped_mean(0, level);
    for (int i = 0; i < 256; i++) {
        while (mean < i && value < 255) {
            before = mean;
            value += step;
            mean = clipped_mean(value, level);
        }
        // The mean of value - step is below i, that of value is not.
        double exact = value;
        if (mean >= i && value > 0)
            exact -= step * (mean - i) / (mean - before);
        table_[i] = float(exact / 255);
    }
    table_[256] = table_[255];
    const auto is_changed = [&](int i) { return std::fabs(table_[i] * 255 - i) > NOTICED; };
    int low = 128, high = 127;
    while (low > 0 && !is_changed(low - 1))
        --low;
    while (high < 255 && !is_changed(high + 1))
        ++high;
    low_ = low / 255.0f, high_ = high / 255.0f;
}

void UnclippedMeans::apply(const float *means, int count, float *values) const {
    for (int x = 0; x < count; x++) {
        const float mean = means[x];
        values[x] = mean;
        if (mean >= low_ && mean <= high_)
            continue;
        const float place = mean > 0 ? std::min(mean, 1.0f) * 255 : 0;
        const int before = int(place);
        values[x] = table_[before] + (place - before) * (table_[before + 1] - table_[before]);
    }
}

}  // namespace hyperguide
