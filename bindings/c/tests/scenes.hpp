// Scenes that move and have noise, for tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "temporal.hpp"

namespace hyperguide {

constexpr float SIGMA = 20, LEVEL = SIGMA / 255;
constexpr int HEIGHT = 160, WIDTH = 240;
constexpr double TURN = 6.283185307179586;

using Frames = std::vector<Planes>;
// The level at a place of a channel, in [0, 255].
using Scene = std::function<double(double x, double y, int channel)>;

// Normal numbers by Box and Muller: the same ones with every compiler.
class Noise {
  public:
    explicit Noise(unsigned seed) : bits_(seed) {}
    double operator()() {
        const double one = (bits_() + 1.0) / 4294967297.0, two = bits_() / 4294967296.0;
        return std::sqrt(-2 * std::log(one)) * std::cos(TURN * two);
    }

  private:
    std::mt19937 bits_;
};

inline Planes drawn(const Scene &scene, int channels = 3, int height = HEIGHT, int width = WIDTH) {
    Planes picture;
    picture.resize(channels, height, width);
    for (int channel = 0; channel < channels; channel++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                picture.plane(channel)[y * width + x] = float(scene(x, y, channel) / 255);
    return picture;
}

double flat(double, double, int) { return 128; }

// Waves of many lengths in all directions, in channels that are alike.
inline double texture(double x, double y, int channel) {
    struct Wave {
        double x, y;
    };
    static const std::vector<Wave> waves = [] {
        std::vector<Wave> all;
        for (int i = 0; i < 12; i++) {
            const double length = 9 * std::pow(1.3, i);
            all.push_back({TURN * std::cos(2.4 * i) / length, TURN * std::sin(2.4 * i) / length});
        }
        return all;
    }();
    double level = 128;
    for (int i = 0; i < 12; i++)
        level += (4 + i) * std::sin(waves[i].x * x + waves[i].y * y + i * i + 0.3 * channel);
    return level;
}

// With noise, rounded to bytes.
inline Planes noisy(Planes picture, unsigned seed, float sigma = SIGMA) {
    Noise noise(seed);
    for (float &value : picture.values)
        value = float(std::rint(std::clamp(255 * value + sigma * noise(), 0.0, 255.0)) / 255);
    return picture;
}

inline Frames noisy(const Frames &clean, float sigma = SIGMA) {
    Frames frames;
    for (std::size_t i = 0; i < clean.size(); i++)
        frames.push_back(noisy(clean[i], unsigned(i), sigma));
    return frames;
}

struct Done {
    bool averaged;
    Planes picture;  // the frame itself unless it was averaged
    Floats noise;
};

// What is given out for frames of a known noise level.
inline std::vector<Done> averages(const Frames &frames, TemporalAverage &&average = TemporalAverage()) {
    std::vector<Done> all;
    for (const Planes &frame : frames) {
        const Floats level(frame.pixels(), LEVEL);
        Done done{false, frame, level};
        done.averaged = average.next(frame, level.data(), done.picture, done.noise);
        all.push_back(done);
    }
    return all;
}

// The same if the network always finds the true level.
inline std::vector<Done> learned(const Frames &frames, TemporalAverage &average, float level = LEVEL) {
    std::vector<Done> all;
    for (const Planes &frame : frames) {
        Done done{false, frame, Floats(frame.pixels(), level)};
        done.averaged = average.next(frame, nullptr, done.picture, done.noise);
        average.learn(done.noise.data());
        all.push_back(done);
    }
    return all;
}

struct Area {
    int top = 0, bottom = HEIGHT, left = 0, right = WIDTH;
};

// The root of the mean squared difference in an area, in levels.
inline double error(const Planes &one, const Planes &other, const Area &area = Area()) {
    double sum = 0;
    for (int c = 0; c < one.channels; c++)
        for (int y = area.top; y < area.bottom; y++)
            for (int x = area.left; x < area.right; x++) {
                const int i = y * one.width + x;
                const double away = 255.0 * (one.plane(c)[i] - other.plane(c)[i]);
                sum += away * away;
            }
    const double count = double(area.bottom - area.top) * (area.right - area.left) * one.channels;
    return std::sqrt(sum / count);
}

inline double mean(const Floats &values) {
    double sum = 0;
    for (const float value : values)
        sum += value;
    return 255 * sum / double(values.size());
}

// A brighter square that moves over an even background.
inline Frames moving_square(int count, int step) {
    Frames clean;
    for (int i = 0; i < count; i++)
        clean.push_back(drawn([&](double x, double y, int) {
            const int left = 10 + step * i;
            return y >= 60 && y < 100 && x >= left && x < left + 40 ? 150 : 100;
        }));
    return clean;
}

inline Frames panned(int count, double step_x, double step_y) {
    Frames clean;
    for (int i = 0; i < count; i++)
        clean.push_back(drawn(
            [&](double x, double y, int c) { return texture(x + step_x * i, y + step_y * i, c); }));
    return clean;
}

}  // namespace hyperguide
