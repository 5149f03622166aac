#include "motion_search.hpp"

#include <algorithm>
#include <cmath>

#include "filters.hpp"
#include "motion_camera.hpp"

namespace hyperguide {

namespace {

// Smallest side of reduced pictures in which motion is looked for.
constexpr int SMALLEST = 32;
// Shifts are multiples of this part of a pixel, so that tiles that move alike are moved at once.
constexpr float STEP = 1.0f / 16;
// Shifts this close to whole pixels are rounded to them: they need no interpolation.
constexpr float NEARLY_WHOLE = 1.5f * STEP;
// The Gaussian lowers white noise to this part.
constexpr float BLUR_GAIN = 1 / 3.4f;
// By how much, in deviations of the noise, the mean difference must fall for the camera to count as
// moving, and for a tile to count as moving against the camera. Noise alone brings less, mostly.
// Python asks for 0.15: the best of many whole shifts gains more by noise than optical flow does.
constexpr float CAMERA_GAIN = 0.01f, TILE_GAIN = 0.2f;
// Deviation of the shifts of tiles that move as the camera does, without noise.
constexpr float ROUGHNESS = 0.4f;
// Steps of Lucas and Kanade, and the longest.
constexpr int REFINEMENTS = 2;
constexpr float LONGEST = 0.5f;

// Least squares for the shift that is left in a tile.
struct LeftShift {
    Shift step;
    Shift certainty;  // the inverse of the variance of the step, times that of the noise
};

// moved: BORDERED_TILE x BORDERED_TILE values. height, width: of the tile.
LeftShift left_shift(const float *now, int stride, const float *moved, int height, int width) {
    enum { XX, XY, YY, XR, YR, SUMS };
    float columns[SUMS][TILE] = {};
    for (int row = 0; row < height; row++, now += stride) {
        const float *above = moved + row * BORDERED_TILE;
        const float *middle = above + BORDERED_TILE, *below = middle + BORDERED_TILE;
        for (int i = 0; i < TILE; i++) {  // all columns, for speed
            const float x = 0.125f * (above[i + 2] - above[i] + below[i + 2] - below[i] +
                                      2 * (middle[i + 2] - middle[i]));
            const float y = 0.125f * (below[i] - above[i] + below[i + 2] - above[i + 2] +
                                      2 * (below[i + 1] - above[i + 1]));
            const float rest = now[i] - middle[i + 1];
            columns[XX][i] += x * x, columns[XY][i] += x * y, columns[YY][i] += y * y;
            columns[XR][i] += x * rest, columns[YR][i] += y * rest;
        }
    }
    float means[SUMS] = {};
    for (int sum = 0; sum < SUMS; sum++)
        for (int i = 0; i < width; i++)
            means[sum] += columns[sum][i] / float(height * width);
    const float xx = means[XX] + 0.5f, yy = means[YY] + 0.5f;  // no large steps in flat tiles
    const float xy = means[XY], determinant = xx * yy - xy * xy;
    const auto bounded = [&](float numerator) {  // values of another world may give NaN
        const float step = numerator / determinant;
        return step > -LONGEST ? std::min(step, LONGEST) : -LONGEST;
    };
    return {{bounded(yy * means[XR] - xy * means[YR]), bounded(xx * means[YR] - xy * means[XR])},
            {determinant / yy, determinant / xx}};
}

float rounded(float value, float step) { return std::nearbyint(value / step) * step; }

}  // namespace

const Motion &MotionSearch::operator()(const Planes &before, const Planes &now, float noise,
                                       int scale) {
    motion_.scale = scale;
    motion_.rows = (now.height + TILE - 1) / TILE, motion_.columns = (now.width + TILE - 1) / TILE;
    motion_.shifts.assign(std::size_t(motion_.rows) * motion_.columns, Shift());
    if (std::min(now.height, now.width) < SMALLEST)
        return motion_;
    gaussian_blur(before, before_);
    gaussian_blur(now, now_);
    match_(before_, now_, noise * BLUR_GAIN, own_);
    refine_own();
    for (Shift &certainty : certainty_) {
        const auto weight = [&](float of_axis) {
            return 1 / (noise * noise / (TILE * TILE * of_axis) + ROUGHNESS * ROUGHNESS);
        };
        certainty = {weight(certainty.x), weight(certainty.y)};
    }
    fit_camera(own_, certainty_, motion_.rows, motion_.columns, camera_);
    for (Shift &shift : camera_)
        if (!std::isfinite(shift.x + shift.y))
            shift = {};
    decide(noise * BLUR_GAIN);
    return motion_;
}

void MotionSearch::refine_own() {
    certainty_.resize(own_.size());
    float moved[BORDERED_TILE * BORDERED_TILE];
    for (std::size_t i = 0; i < own_.size(); i++) {
        const int top = int(i) / motion_.columns * TILE, left = int(i) % motion_.columns * TILE;
        const int height = std::min(TILE, now_.height - top);
        const int width = std::min(TILE, now_.width - left);
        Shift &shift = own_[i];
        for (int step = 0; step < REFINEMENTS; step++) {
            match_.before().cut(float(top - 1) + shift.y, float(left - 1) + shift.x, BORDERED_TILE,
                                moved);
            const LeftShift left_over = left_shift(match_.now().at(top, left),
                                                   match_.now().stride(), moved, height, width);
            shift.x += left_over.step.x, shift.y += left_over.step.y;
            certainty_[i] = left_over.certainty;
        }
    }
}

// Chooses between rest, the camera's and each tile's own motion, and rounds.
void MotionSearch::decide(float noise) {
    const std::vector<Shift> rest(own_.size());
    unexplained(camera_, of_camera_);
    unexplained(rest, at_rest_);
    unexplained(own_, of_own_);
    float gain = 0;
    for (std::size_t i = 0; i < own_.size(); i++)
        gain += at_rest_[i] - of_camera_[i];
    if (gain < CAMERA_GAIN * noise * float(own_.size())) {
        camera_ = rest;
        of_camera_ = at_rest_;
    }
    for (std::size_t i = 0; i < own_.size(); i++) {
        const bool better = of_camera_[i] - of_own_[i] > TILE_GAIN * noise;
        const Shift chosen = better ? own_[i] : camera_[i];
        Shift shift{rounded(chosen.x * float(motion_.scale), STEP),
                    rounded(chosen.y * float(motion_.scale), STEP)};
        const Shift whole{std::nearbyint(shift.x), std::nearbyint(shift.y)};
        const float away = std::max(std::fabs(shift.x - whole.x), std::fabs(shift.y - whole.y));
        motion_.shifts[i] = away <= NEARLY_WHOLE ? whole : shift;
    }
}

// The mean difference of each tile that is left after the motion.
void MotionSearch::unexplained(const std::vector<Shift> &shifts, Floats &differences) const {
    differences.resize(shifts.size());
    float moved[TILE * TILE];
    for (std::size_t i = 0; i < shifts.size(); i++) {
        const int top = int(i) / motion_.columns * TILE, left = int(i) % motion_.columns * TILE;
        match_.before().cut(float(top) + shifts[i].y, float(left) + shifts[i].x, TILE, moved);
        const int height = std::min(TILE, now_.height - top);
        const int width = std::min(TILE, now_.width - left);
        differences[i] = difference_of_tiles(match_.now().at(top, left), match_.now().stride(),
                                             moved, TILE, height, width);
    }
}

}  // namespace hyperguide
