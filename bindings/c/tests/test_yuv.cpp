// YUV to planes and back, against formulas that are written anew here.
#include <algorithm>
#include <cmath>

#include "check.hpp"
#include "pictures.hpp"

using namespace hyperguide;

namespace {

// Weights of red and blue, by hg_matrix.
const double kr[] = {0.2126, 0.299, 0.2627}, kb[] = {0.0722, 0.114, 0.0593};

// H.273: luma in [0, 1], chroma in [-0.5, 0.5], from a code and back.
struct Levels {
    explicit Levels(const hg_picture &picture)
        : unit(picture.format == HG_P010 ? 4 : 1), top(256 * unit - 1),
          is_full(picture.range == HG_FULL) {}
    double zero(int component) const { return unit * (component > 0 ? 128 : is_full ? 0 : 16); }
    double span(int component) const { return is_full ? top : unit * (component > 0 ? 224 : 219); }
    double of(int component, double code) const {
        return (code - zero(component)) / span(component);
    }
    double code(int component, double level) const {
        return std::min(std::max(level * span(component) + zero(component), 0.0), top);
    }
    double unit, top;
    bool is_full;
};

// Chroma at a pixel: values lie in the middle of blocks of 2 x 2.
double chroma_at(Owned &picture, int component, int y, int x) {
    const Levels levels(picture.picture);
    const int rows = (picture.picture.height + 1) / 2, columns = (picture.picture.width + 1) / 2;
    const double down = (y + 0.5) / 2 - 0.5, right = (x + 0.5) / 2 - 0.5;
    const int top = int(std::floor(down)), left = int(std::floor(right));
    double sum = 0;
    for (int i : {0, 1})
        for (int j : {0, 1}) {
            const int row = std::min(std::max(top + i, 0), rows - 1);
            const int column = std::min(std::max(left + j, 0), columns - 1);
            const double share = (1 - std::abs(down - top - i)) * (1 - std::abs(right - left - j));
            sum += share * levels.of(component, picture.code(component, row, column));
        }
    return sum;
}

struct Rgb {
    double c[3];
};

Rgb rgb_at(Owned &picture, int y, int x) {
    const double red = kr[picture.picture.matrix], blue = kb[picture.picture.matrix];
    const double luma = Levels(picture.picture).of(0, picture.code(0, y, x));
    const double r = luma + 2 * (1 - red) * chroma_at(picture, 2, y, x);
    const double b = luma + 2 * (1 - blue) * chroma_at(picture, 1, y, x);
    const double g = (luma - red * r - blue * b) / (1 - red - blue);
    const auto limit = [](double value) { return std::min(std::max(value, 0.0), 1.0); };
    return {{limit(r), limit(g), limit(b)}};
}

// Level of Y, U or V that a colour has.
double level_of(const Rgb &rgb, int matrix, int component) {
    const double red = kr[matrix], blue = kb[matrix];
    const double luma = red * rgb.c[0] + (1 - red - blue) * rgb.c[1] + blue * rgb.c[2];
    if (component == 0)
        return luma;
    return component == 1 ? (rgb.c[2] - luma) / (2 * (1 - blue))
                          : (rgb.c[0] - luma) / (2 * (1 - red));
}

// Level of the pixels that a value of Y, U or V stands for.
template <typename RgbAt>
double mean_level(RgbAt rgb, const hg_picture &picture, int component, int y, int x) {
    if (component == 0)
        return level_of(rgb(y, x), picture.matrix, 0);
    double sum = 0, count = 0;
    for (int row = 2 * y; row < std::min(2 * y + 2, picture.height); row++)
        for (int column = 2 * x; column < std::min(2 * x + 2, picture.width); column++, count++)
            sum += level_of(rgb(row, column), picture.matrix, component);
    return sum / count;
}

template <typename Action> void for_every_coding(Action action) {
    for (hg_format format : yuv)
        for (hg_matrix matrix : {HG_BT709, HG_BT601, HG_BT2020})
            for (hg_range range : {HG_LIMITED, HG_FULL})
                for (int width : {1, 2, 5, 18})
                    for (int height : {1, 4, 7}) {
                        Owned picture(format, width, height, 2), out(format, width, height, 8);
                        picture.picture.matrix = out.picture.matrix = matrix;
                        picture.picture.range = out.picture.range = range;
                        action(picture, out);
                    }
}

// Whether all codes are those nearest to `code(component, y, x)`, but for a float's error.
template <typename Code> bool are_codes(Owned &picture, Code code) {
    for (int component = 0; component < 3; component++)
        for (int y = 0; y < picture.rows[component > 0]; y++)
            for (int x = 0; x < (picture.picture.width + (component > 0)) / (component > 0 ? 2 : 1);
                 x++)
                if (std::abs(picture.code(component, y, x) - code(component, y, x)) > 0.501)
                    return false;
    return true;
}

void yuv_becomes_rgb_by_the_formula() {
    for_every_coding([](Owned &in, Owned &) {
        const Planes planes = planes_of(in);
        double worst = 0;
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < planes.height; y++)
                for (int x = 0; x < planes.width; x++)
                    worst = std::max(worst,
                                     std::abs(value_at(planes, c, y, x) - rgb_at(in, y, x).c[c]));
        CHECK(worst < 1e-6);
    });
}

void rgb_becomes_yuv_by_the_formula() {
    for_every_coding([](Owned &picture, Owned &out) {
        Owned in(HG_RGB24, picture.picture.width, picture.picture.height);
        const Planes planes = planes_of(in);
        from_planes(planes, in.view(), out.view());
        const auto rgb = [&](int y, int x) {
            return Rgb{
                {value_at(planes, 0, y, x), value_at(planes, 1, y, x), value_at(planes, 2, y, x)}};
        };
        const Levels levels(out.picture);
        CHECK(are_codes(out, [&](int component, int y, int x) {
            return levels.code(component, mean_level(rgb, out.picture, component, y, x));
        }));
        CHECK(out.is_filler_untouched());
    });
}

void yuv_changes_by_what_the_network_changed() {
    for_every_coding([](Owned &in, Owned &out) {
        Planes planes = planes_of(in);
        for (float &value : planes.values)
            value = std::min(std::max(value + (random_float() - 0.5f) / 4, 0.0f), 1.0f);
        const auto change = [&](int y, int x) {
            Rgb rgb = rgb_at(in, y, x);
            for (int c = 0; c < 3; c++)
                rgb.c[c] = value_at(planes, c, y, x) - rgb.c[c];
            return rgb;
        };
        from_planes(planes, in.view(), out.view());
        const Levels levels(in.picture);
        CHECK(are_codes(out, [&](int component, int y, int x) {
            const double before = levels.of(component, in.code(component, y, x));
            return levels.code(component, before + mean_level(change, in.picture, component, y, x));
        }));
        from_planes(planes, in.view(), in.view());
        CHECK(in.shows_the_same(out) && in.is_filler_untouched());
    });
}

void layout_and_depth_and_range_and_matrix_of_yuv_may_change_on_the_way() {
    Owned in(HG_NV12, 13, 9), out(HG_I420, 13, 9, 3), deep(HG_P010, 13, 9);
    out.picture.range = HG_FULL;
    const Planes planes = planes_of(in);
    for (Owned *other : {&out, &deep}) {
        from_planes(planes, in.view(), other->view());
        const Levels from(in.picture), to(other->picture);
        CHECK(are_codes(*other, [&](int component, int y, int x) {
            return to.code(component, from.of(component, in.code(component, y, x)));
        }));
    }
    Owned other(HG_NV12, 13, 9);
    other.picture.matrix = HG_BT601;
    from_planes(planes, in.view(), other.view());
    const auto rgb = [&](int y, int x) { return rgb_at(in, y, x); };
    CHECK(are_codes(other, [&](int component, int y, int x) {
        const double level = mean_level(rgb, other.picture, component, y, x);
        return Levels(other.picture).code(component, level);
    }));
}

void gray_networks_take_y_and_leave_chroma() {
    for_every_coding([](Owned &in, Owned &out) {
        Planes planes = planes_of(in, 1);
        const Levels levels(in.picture);
        for (int y = 0; y < planes.height; y++)
            for (int x = 0; x < planes.width; x++) {
                const double luma = levels.of(0, in.code(0, y, x));
                CHECK(std::abs(value_at(planes, 0, y, x) - std::min(std::max(luma, 0.0), 1.0)) <
                      1e-6);
            }
        from_planes(planes, in.view(), out.view());
        CHECK(out.shows_the_same(in));
        for (float &value : planes.values)
            value = 0.25f;
        Owned gray(HG_GRAY8, planes.width, planes.height);
        from_planes(planes, gray.view(), out.view());
        CHECK(are_codes(out, [&](int component, int, int) {
            return levels.code(component, component == 0 ? 0.25 : 0);
        }));
    });
}

}  // namespace

int main() {
    yuv_becomes_rgb_by_the_formula();
    rgb_becomes_yuv_by_the_formula();
    yuv_changes_by_what_the_network_changed();
    layout_and_depth_and_range_and_matrix_of_yuv_may_change_on_the_way();
    gray_networks_take_y_and_leave_chroma();
    return failures > 0;
}
