// Frames averaged over time.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check.hpp"
#include "error.hpp"
#include "filters.hpp"
#include "noise_curve.hpp"
#include "scenes.hpp"
#include "stillness.hpp"

using namespace hyperguide;

namespace {

void the_error_of_a_still_scene_falls_as_the_map_says() {
    for (const Scene &scene : {Scene(flat), Scene(texture)}) {
        const Planes truth = drawn(scene);
        const auto done = averages(noisy(Frames(24, truth)));
        CHECK(!done[0].averaged);
        for (int i = 5; i < 24; i++) {
            const double found = error(done[i].picture, truth), said = mean(done[i].noise);
            CHECK(done[i].averaged);
            CHECK(found < said * 1.03 && found > said * 0.8);
            CHECK(found * found < 1.5 * SIGMA * SIGMA / (i + 1));  // as 1 / n
        }
    }
}

void the_count_is_bounded_by_the_limit() {
    const Frames frames = noisy(Frames(16, drawn(flat, 3, 96, 96)));
    const Done last = averages(frames, TemporalAverage(5)).back();
    CHECK(last.averaged);  // 5 before, and the frame
    const float least = *std::min_element(last.noise.begin(), last.noise.end());
    CHECK(least > LEVEL / std::sqrt(6.0f) * 0.999f);
    CHECK(!averages(frames, TemporalAverage(1)).back().averaged);
}

void gray_pictures_are_averaged_as_well_as_colour() {
    const Planes truth = drawn(texture, 1);
    const Frames frames = noisy(Frames(16, truth));
    const Done gray = averages(frames).back();
    CHECK(error(gray.picture, truth) < SIGMA / std::sqrt(6.0));
    Frames in_colour;
    for (const Planes &frame : frames)
        in_colour.push_back(
            drawn([&](double x, double y, int) { return 255 * frame.values[int(y * WIDTH + x)]; }));
    const Done colour = averages(in_colour).back();
    for (std::size_t i = 0; i < colour.picture.values.size(); i++)
        CHECK(std::fabs(colour.picture.values[i] - gray.picture.values[i % gray.picture.pixels()]) <
              0.5f / 255);
}

void clipped_noise_does_not_brighten_black() {
    const Planes black = drawn([](double, double, int) { return 0; });
    const Done last = averages(noisy(Frames(16, black))).back();
    CHECK(mean(last.picture.values) < 0.35 * SIGMA / std::sqrt(TURN));  // the mean of max(noise, 0)
}

void a_moving_square_leaves_no_trace() {
    const Frames clean = moving_square(24, 6), frames = noisy(clean);
    for (const bool motion : {true, false}) {
        const auto done = averages(frames, TemporalAverage(32, motion));
        for (int i = 8; i < 24; i++) {
            const Area path{52, 108, 10 + 6 * (i - 4), std::min(58 + 6 * i, WIDTH)};
            CHECK(error(done[i].picture, clean[i], path) < 1.02 * error(frames[i], clean[i], path));
            CHECK(error(done[i].picture, clean[i]) < 0.7 * SIGMA);
        }
    }
}

void a_slow_edge_stays_where_it_is() {
    Frames clean;  // a quarter of a pixel a frame
    for (int i = 0; i < 24; i++)
        clean.push_back(drawn([&](double x, double, int) {
            return 80 + 80 * std::clamp(x - 100 - 0.25 * i, 0.0, 1.0);
        }));
    const Done last = averages(noisy(clean), TemporalAverage(32, false)).back();
    for (int x = 90; x < 120; x++) {
        double away = 0;
        for (int y = 0; y < HEIGHT; y++)
            away += last.picture.values[y * WIDTH + x] - clean[23].values[y * WIDTH + x];
        CHECK(std::fabs(255 * away / HEIGHT) < 12);
    }
}

void a_cut_starts_anew() {
    Frames clean;  // also where both scenes look alike
    for (const int level : {20, 235})
        for (int i = 0; i < 8; i++)
            clean.push_back(drawn(
                [&](double x, double y, int c) { return x < 150 ? level : texture(x, y, c); }));
    const auto done = averages(noisy(clean));
    for (int i = 0; i < 16; i++)
        CHECK(done[i].averaged == (i % 8 > 2));
}

void another_size_or_form_starts_anew() {
    const Planes others[] = {drawn(flat, 1), drawn(flat, 3, 100, 100), drawn(flat, 3, 160, 238)};
    for (const Planes &other : others) {
        Frames frames(8, drawn(flat));
        frames.push_back(other);
        frames = noisy(frames);
        const auto done = averages(frames);
        CHECK(done[7].averaged && !done[8].averaged);
    }
}

void a_pan_is_followed() {
    const double steps[][2] = {{2, 1}, {0, -2}, {9, 4}, {1.3, 0.4}, {-0.5, 2.25}};
    for (const auto &step : steps) {
        const Frames clean = panned(14, step[0], step[1]);
        const Done last = averages(noisy(clean)).back();
        CHECK(last.averaged);
        const bool fast = step[0] > 4;  // then less has been in sight long enough
        const Area inner = fast ? Area{24, 104, 24, 120} : Area{32, HEIGHT - 32, 32, WIDTH - 32};
        CHECK(error(last.picture, clean.back(), inner) < SIGMA / 2);
        Floats noise = last.noise;
        CHECK(percentile(noise, fast ? 40 : 50) < LEVEL / 2);
    }
}

void what_comes_into_sight_counts_anew() {
    Frames clean;  // also where it looks like the border that it comes from
    for (int i = 0; i < 12; i++)
        clean.push_back(drawn([&](double x, double y, int c) {
            return x + 9 * i < 220 ? texture(x + 9 * i, y, c) : 128;
        }));
    const Done last = averages(noisy(clean)).back();
    for (int y = 0; y < HEIGHT; y++) {
        CHECK(last.noise[y * WIDTH + WIDTH - 4] > 0.99f * LEVEL);
        CHECK(last.noise[y * WIDTH + WIDTH - 110] < 0.6f * LEVEL);
    }
}

void differences_beyond_noise_are_found() {
    constexpr float VARIANCE = 800;  // and none of it in the means
    const Planes none = drawn([](double, double, int) { return 0; }, 3, 40, 60);
    Planes variance = none, bias;
    variance.channels = 1;
    variance.values.assign(none.pixels(), VARIANCE);
    const auto found = [&](float step, int side) {  // in the middle, beside it and further away
        Planes frame = none;
        for (int i = 0; i < 3 * side * side; i++)
            frame.plane(i % 3)[(20 + i / 3 / side) * 60 + 20 + i / 3 % side] = step;
        Agreement().bias(frame, none, variance, variance, bias);
        const float *row = bias.plane(0) + (20 + side / 2) * 60;
        const int right = 20 + side;
        return std::vector<bool>{row[20 + side / 2] > 0, row[right] > 0, row[right + 5] > 0};
    };
    CHECK((found(28, 1) == std::vector<bool>{true, true, false}));
    CHECK((found(10, 1) == std::vector<bool>{false, false, false}));
    CHECK((found(1.2f, 16) == std::vector<bool>{true, false, false}));
    CHECK((found(0.4f, 16) == std::vector<bool>{false, false, false}));
}

void looking_for_motion_does_no_harm() {
    const Frames still(12, drawn(texture));
    Frames chance;  // nothing of a frame is found in the next
    for (int i = 0; i < 12; i++)
        chance.push_back(drawn([&](double x, double y, int c) {
            return texture(x + 977.0 * i, y + 313.0 * i * i, c);
        }));
    for (const Frames &clean : {still, moving_square(12, 6), chance}) {
        const Frames frames = noisy(clean);
        const auto with = averages(frames);
        const auto without = averages(frames, TemporalAverage(32, false));
        double sums[2] = {0, 0};
        for (int i = 0; i < 12; i++) {
            sums[0] += error(with[i].picture, clean[i]);
            sums[1] += error(without[i].picture, clean[i]);
        }
        CHECK(sums[0] < 1.01 * sums[1]);
    }
}

void quiet_frames_are_left_alone() {
    TemporalAverage average;
    for (const Frames &clean : {Frames(5, drawn(texture)), panned(5, 3, 0)})
        for (const Done &done : learned(clean, average, 0.8f / 255))
            CHECK(!done.averaged);
}

void nothing_is_averaged_before_the_noise_is_known() {
    TemporalAverage average;
    Planes picture;
    Floats noise;
    average.learn(nullptr);  // before the first frame, and without a map
    for (const Planes &frame : noisy(Frames(4, drawn(flat)))) {
        CHECK(!average.next(frame, nullptr, picture, noise));
        average.learn(nullptr);
    }
}

void the_noise_level_is_learned_and_followed() {
    TemporalAverage average;
    const Planes truth = drawn(flat, 3, 128, 128);
    learned(noisy(Frames(12, truth)), average);
    const Done last = learned(noisy(Frames(30, truth), 26), average, 26.0f / 255).back();
    const double found = error(last.picture, truth, {0, 128, 0, 128});
    CHECK(found < 13 && std::fabs(mean(last.noise) - found) < 0.15 * found);
}

void a_map_of_the_noise_level_is_used() {
    // No noise on the left, which a level of 0 says.
    const Planes truth = drawn(texture);
    Floats level(truth.pixels()), noise;
    for (std::size_t i = 0; i < level.size(); i++)
        level[i] = i % WIDTH < 100 ? 0 : LEVEL;
    TemporalAverage average;
    Planes picture;
    for (const Planes &noised : noisy(Frames(10, truth))) {
        Planes frame = noised;
        for (std::size_t i = 0; i < frame.values.size(); i++)
            if (i % WIDTH < 100)
                frame.values[i] = truth.values[i];
        average.next(frame, level.data(), picture, noise);
    }
    CHECK(error(picture, truth, {0, HEIGHT, 0, 90}) < 0.5);
    CHECK(error(picture, truth, {0, HEIGHT, 130, WIDTH}) < SIGMA / 2);
}

void a_map_is_unmixed_where_nothing_was_averaged() {
    // On the right, where nothing stays, the network sees a level of 30 behind the map it is given.
    TemporalAverage average;
    Done last{};
    for (unsigned i = 0; i < 24; i++) {
        const Planes frame = noisy(drawn([&](double x, double y, int c) {
            return x < 120 ? 40 : 50 + texture(x + 977.0 * i, y + 313.0 * i * i, c);
        }), i);
        last.noise.assign(frame.pixels(), LEVEL);
        last.averaged = average.next(frame, nullptr, last.picture, last.noise);
        Floats map = last.noise;
        for (std::size_t k = 0; k < map.size(); k++)
            if (k % WIDTH >= 120)
                map[k] = (last.averaged ? MIX * map[k] + (1 - MIX) * 30 / 255 : 30.0f / 255);
        average.learn(map.data());
    }
    CHECK(last.averaged);
    Floats right;
    for (std::size_t k = 0; k < last.noise.size(); k++)
        if (k % WIDTH >= 150)
            right.push_back(255 * last.noise[k]);
    const float level = percentile(right, 50);  // the left, which stands still, teaches 20
    CHECK(level > 24 && level < 30);
}

void faint_clouds_that_drift_leave_no_ghosts() {
    Frames clean;
    for (int i = 0; i < 30; i++)
        clean.push_back(drawn([&](double x, double y, int) {
            const double right = (x - 30 - 5 * i) / 30, down = (y - 80) / 30;
            return 120 + 10 * std::exp(-right * right - down * down);
        }));
    Planes away = averages(noisy(clean)).back().picture, around;
    for (std::size_t i = 0; i < away.values.size(); i++)
        away.values[i] -= clean.back().values[i];
    box_blur(away, 31, around);
    for (std::size_t i = 0; i < around.pixels(); i++)
        CHECK(std::fabs(around.plane(0)[i] + around.plane(1)[i] + around.plane(2)[i]) < 9.0f / 255);
}

void a_reset_forgets() {
    const Frames frames = noisy(panned(6, 2, 1));
    TemporalAverage average;
    const auto once = learned(frames, average);
    average.reset();
    const auto again = learned(frames, average);
    for (int i = 0; i < 6; i++)
        CHECK(once[i].picture.values == again[i].picture.values && once[i].noise == again[i].noise);
}

void any_size_is_averaged() {
    const int sizes[][2] = {{161, 237}, {45, 33}, {7, 5}, {1, 9}, {1, 1}};
    for (const auto &[height, width] : sizes)
        for (const int channels : {1, 3}) {
            const Planes truth = drawn(texture, channels, height, width);
            const Done last = averages(noisy(Frames(8, truth))).back();
            CHECK(last.picture.values.size() == truth.values.size());
            CHECK(last.noise.size() == truth.pixels());
            CHECK(error(last.picture, truth, {0, height, 0, width}) < 3 * SIGMA);
        }
}

void values_that_are_none_are_refused() {
    TemporalAverage average;
    Smoothing smoothing(true);
    Planes picture;
    Floats noise, mix;
    learned(noisy(Frames(4, drawn(flat))), average);
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
        Planes frame = drawn(flat);
        frame.values[12345] = bad;
        const auto is_refused = [](const std::function<void()> &action) {
            try {
                action();
                return false;
            } catch (const Error &error) {
                return error.status == HG_BAD_ARGUMENT;
            }
        };
        CHECK(is_refused([&] { average.next(frame, nullptr, picture, noise); }));
        CHECK(is_refused([&] { smoothing.memory(frame, 0.5f, noise, mix); }));
        CHECK(is_refused([&] { average.next(drawn(flat), frame.plane(0), picture, noise); }));
    }
    for (const Done &done : learned(noisy(Frames(4, drawn(flat))), average))
        CHECK(done.averaged);  // as if nothing had happened
    learned(Frames(3, drawn([](double x, double, int) { return 1e20 * x; })), average);
}

void means_of_clipped_noise_are_inverted() {
    const UnclippedMeans unclipped(30);
    for (const int value : {10, 60, 128, 200, 245}) {
        Noise noise(1);
        double sum = 0;
        for (int i = 0; i < 200000; i++)
            sum += std::clamp(value + 30 * noise(), 0.0, 255.0);
        const float mean = float(sum / 200000 / 255);
        float found;
        unclipped.apply(&mean, 1, &found);
        CHECK(std::fabs(255 * found - value) < 0.5);
    }
}

void noise_that_grows_with_brightness_is_learned() {
    const auto truth = [](float brightness) { return std::sqrt(4 + 1.5f * brightness); };
    NoiseCurve curve;
    Noise noise(0);
    for (int frame = 0; frame < 3; frame++) {
        Floats measured, brightness;
        for (int i = 0; i < 20000; i++) {
            brightness.push_back(20 + float(i % 215));
            measured.push_back(truth(brightness.back()) * float(1 + 0.05 * noise()));
        }
        curve.learn(measured, brightness, 50);
    }
    for (float brightness = 30; brightness < 225; brightness++)
        CHECK(std::fabs(curve.at(brightness) / truth(brightness) - 1) < 0.06f);
}

}  // namespace

int main() {
    the_error_of_a_still_scene_falls_as_the_map_says();
    the_count_is_bounded_by_the_limit();
    gray_pictures_are_averaged_as_well_as_colour();
    clipped_noise_does_not_brighten_black();
    a_moving_square_leaves_no_trace();
    a_slow_edge_stays_where_it_is();
    a_cut_starts_anew();
    another_size_or_form_starts_anew();
    a_pan_is_followed();
    what_comes_into_sight_counts_anew();
    differences_beyond_noise_are_found();
    looking_for_motion_does_no_harm();
    quiet_frames_are_left_alone();
    nothing_is_averaged_before_the_noise_is_known();
    the_noise_level_is_learned_and_followed();
    a_map_of_the_noise_level_is_used();
    a_map_is_unmixed_where_nothing_was_averaged();
    faint_clouds_that_drift_leave_no_ghosts();
    a_reset_forgets();
    any_size_is_averaged();
    values_that_are_none_are_refused();
    means_of_clipped_noise_are_inverted();
    noise_that_grows_with_brightness_is_learned();
    return failures > 0;
}
