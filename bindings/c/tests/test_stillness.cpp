// Maps smoothed where nothing moves.
#include <algorithm>
#include <cmath>
#include <random>

#include "check.hpp"
#include "filters.hpp"
#include "scenes.hpp"
#include "stillness.hpp"

using namespace hyperguide;

namespace {

// Shows two frames, and returns the share of the first one's map in the second; empty for none.
Floats share(const Planes &one, const Planes &other, float level, bool is_noise = true) {
    Smoothing smoothing(is_noise);
    Floats guidance, mix;
    CHECK(!smoothing.memory(one, 0.5f, guidance, mix));
    const Floats map(one.pixels(), level);
    smoothing.remember(map.data());
    if (!smoothing.memory(other, 0.5f, guidance, mix))
        return {};
    CHECK(guidance == map);
    return mix;
}

void maps_are_mixed_where_nothing_moves() {
    const auto scene = [](double left) {
        return drawn([=](double x, double y, int) {
            return y >= 48 && y < 112 && x >= left && x < left + 80 ? 60 : 120 + 0.1 * x;
        });
    };
    const auto mix = share(noisy(scene(64), 0), noisy(scene(88), 1), LEVEL);
    CHECK(mix.size() == std::size_t(HEIGHT) * WIDTH);
    const auto at = [&](int y, int x) { return mix[std::size_t(y) * WIDTH + x]; };
    for (int y = 52; y < 108; y++) {
        for (int x = 56; x < 88; x++)
            CHECK(at(y, x) == 0);  // uncovered, and beside it
        for (int x = 144; x < 172; x++)
            CHECK(at(y, x) == 0);  // covered
    }
    double still = 0;
    for (int x = 0; x < WIDTH; x++)
        still += at(16, x) / WIDTH + at(150, x) / WIDTH;
    CHECK(still > 0.97 && still < 1.0001);
    CHECK(at(80, 115) > 0.4f);  // within the square nothing changes
}

void other_maps_are_compared_by_the_noise_of_good_cameras() {
    Planes brighter = drawn(flat);
    for (float &value : brighter.values)
        value += 12.0f / 255;
    CHECK(share(drawn(flat), brighter, 80.0f / 255)[0] == 0.5f);
    CHECK(share(drawn(flat), brighter, 80.0f / 255, false)[0] == 0);
}

void maps_of_other_scenes_are_not_mixed() {
    const Planes one = drawn(flat), dark = drawn([](double, double, int) { return 40; });
    CHECK(share(one, dark, LEVEL).empty());
    CHECK(share(one, drawn(flat, 3, 80, 240), LEVEL).empty());
    CHECK(!share(one, one, LEVEL).empty());
    CHECK(!share(drawn(flat, 3, 3, 5), drawn(flat, 3, 3, 5), LEVEL).empty());
    Smoothing smoothing(true);
    Floats guidance, mix;
    const Floats map(one.pixels(), LEVEL);
    smoothing.memory(one, 0.5f, guidance, mix);
    smoothing.remember(map.data());
    CHECK(!smoothing.memory(one, 0, guidance, mix));
    smoothing.reset();
    CHECK(!smoothing.memory(one, 0.5f, guidance, mix));
}

}  // namespace

int main() {
    maps_are_mixed_where_nothing_moves();
    other_maps_are_compared_by_the_noise_of_good_cameras();
    maps_of_other_scenes_are_not_mixed();
    return failures > 0;
}
