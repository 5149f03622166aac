// Motion between pictures, and the filters that it is found with.
#include <algorithm>
#include <cmath>
#include <random>

#include "check.hpp"
#include "filters.hpp"
#include "motion_camera.hpp"
#include "motion_search.hpp"
#include "scenes.hpp"
#include "stillness.hpp"

using namespace hyperguide;

namespace {

void shifts_between_pictures_are_found() {
    const auto part = [](double x, double y) {
        const auto scene = [&](double px, double py, int) { return texture(px + x, py + y, 1); };
        Planes picture = drawn(scene, 1);
        for (float &value : picture.values)
            value *= 255;
        return picture;
    };
    const float shifts[][2] = {{0, 0}, {0.5f, 0.25f}, {-1.25f, 0.75f}, {4, -2}, {-19, 11}};
    const Planes before = part(0, 0);
    MotionSearch search;
    for (const auto &[x, y] : shifts) {
        const Planes now = part(x, y);
        Motion motion = search(before, now, 1, 1);
        CHECK(motion.still() == (x == 0));
        Floats along, down;
        for (const Shift &shift : motion.shifts)
            along.push_back(shift.x), down.push_back(shift.y);
        CHECK(std::fabs(percentile(along, 50) - x) < 0.13f);
        CHECK(std::fabs(percentile(down, 50) - y) < 0.13f);
        Planes moved;
        std::fill(motion.shifts.begin(), motion.shifts.end(), Shift{x, y});
        motion.applied(before, moved);
        CHECK(error(moved, now, {24, HEIGHT - 24, 24, WIDTH - 24}) / 255 < 0.2);
    }
}

void the_camera_is_seen_through_what_moves() {
    const int rows = 8, columns = 10;
    Noise noise(3);
    for (const float zoom : {0.0f, 1.5f}) {
        std::vector<Shift> truth, shifts, camera;
        for (int i = 0; i < rows * columns; i++) {
            const float x = float(i % columns), y = float(i / columns);
            truth.push_back({1 + zoom * x / columns, -2 + zoom * y});
            const float away = i % 4 ? 0.02f * float(noise()) : 3;
            shifts.push_back({truth[i].x + away, truth[i].y - away});
        }
        fit_camera(shifts, std::vector<Shift>(shifts.size(), {1, 1}), rows, columns, camera);
        for (int i = 0; i < rows * columns; i++) {
            CHECK(std::fabs(camera[i].x - truth[i].x) < 0.03f);
            CHECK(std::fabs(camera[i].y - truth[i].y) < 0.03f);
            CHECK(zoom != 0 || camera[i] == camera[0]);
        }
    }
}

void filters_mirror_and_enlarge_as_those_of_opencv() {
    const Planes in = drawn([](double x, double y, int) { return 255 * x * (x + 3 * y); }, 1, 4, 6);
    const int rows[] = {2, 1, 0, 1, 2, 3, 2, 1}, columns[] = {2, 1, 0, 1, 2, 3, 4, 5, 4, 3};
    Planes blurred, least;
    box_blur(in, 5, blurred);
    erode(in, 3, least);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 6; x++) {
            float sum = 0, smallest = in.values[y * 6 + x];
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < 5; j++)
                    sum += in.values[rows[y + i] * 6 + columns[x + j]] / 25;
            for (int i = std::max(y - 1, 0); i <= std::min(y + 1, 3); i++)
                for (int j = std::max(x - 1, 0); j <= std::min(x + 1, 5); j++)
                    smallest = std::min(smallest, in.values[i * 6 + j]);
            CHECK(std::fabs(blurred.values[y * 6 + x] - sum) < 1e-3f);
            CHECK(least.values[y * 6 + x] == smallest);
        }
    Floats enlarged_map, some = {4, 1, 3, 2};
    enlarged(drawn([](double x, double, int) { return 255 * x; }, 1, 1, 2), 2, 8, enlarged_map);
    const float expected[] = {0, 0, 0.125f, 0.375f, 0.625f, 0.875f, 1, 1};
    for (int i = 0; i < 16; i++)
        CHECK(enlarged_map[i] == expected[i % 8]);
    CHECK(percentile(some, 50) == 2.5f && percentile(some, 0) == 1 && percentile(some, 100) == 4);
}

}  // namespace

int main() {
    shifts_between_pictures_are_found();
    the_camera_is_seen_through_what_moves();
    filters_mirror_and_enlarge_as_those_of_opencv();
    return failures > 0;
}
