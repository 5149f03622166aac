// Pictures to planes and back, against formulas that are written anew here.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "error.hpp"
#include "pixels.hpp"

using namespace hyperguide;

namespace {

std::mt19937 random_bits(1);

float random_float() {
    return float(random_bits() % 10001) / 10000;
}

constexpr unsigned char filler = 0xA5;

const hg_format interleaved[] = {HG_RGB24, HG_BGR24, HG_RGBA, HG_GRAY8, HG_GRAY16, HG_RGBF32};
const hg_format yuv[] = {HG_NV12, HG_I420, HG_P010};

bool is_yuv(hg_format format) {
    return format >= HG_NV12;
}
bool is_gray_format(hg_format format) {
    return format == HG_GRAY8 || format == HG_GRAY16;
}

int plane_count(hg_format format) {
    return format == HG_I420 ? 3 : is_yuv(format) ? 2 : 1;
}

int bytes_of(hg_format format, int plane) {
    switch (format) {
    case HG_RGB24:
    case HG_BGR24:
        return 3;
    case HG_RGBA:
        return 4;
    case HG_GRAY16:
        return 2;
    case HG_RGBF32:
        return 12;
    case HG_NV12:
        return plane == 0 ? 1 : 2;
    case HG_P010:
        return plane == 0 ? 2 : 4;
    default:
        return 1;
    }
}

// A picture of random values, with `extra` bytes after each row but the last.
struct Owned {
    Owned(hg_format format, int width, int height, int extra = 0) {
        picture.format = format, picture.width = width, picture.height = height;
        for (int i = 0; i < plane_count(format); i++) {
            rows[i] = i == 0 ? height : (height + 1) / 2;
            row_bytes[i] = (i == 0 ? width : (width + 1) / 2) * bytes_of(format, i);
            picture.strides[i] = row_bytes[i] + extra;
            memory[i].assign(std::size_t(picture.strides[i] * (rows[i] - 1) + row_bytes[i]),
                             filler);
            picture.planes[i] = memory[i].data();
            for (int y = 0; y < rows[i]; y++)
                for (int x = 0; x < row_bytes[i]; x++)
                    *at(i, y, x) = (unsigned char)random_bits();
            for (int y = 0; y < rows[i]; y++)
                for (int x = 0; x < row_bytes[i] / 4 && format == HG_RGBF32; x++)
                    set_float(y, x, random_float());
            for (int y = 0; y < rows[i]; y++)
                for (int x = 0; x < row_bytes[i] && format == HG_P010; x += 2)
                    *at(i, y, x) &= 0xC0;  // the 6 lower bits are unused
        }
    }
    // The planes' addresses must stay.
    Owned(const Owned &) = delete;
    Owned &operator=(const Owned &) = delete;

    unsigned char *at(int plane, int y, int x) {
        return memory[plane].data() + picture.strides[plane] * y + x;
    }
    void set_float(int y, int x, float value) { std::memcpy(at(0, y, 4 * x), &value, 4); }
    float get_float(int y, int x) {
        float value;
        std::memcpy(&value, at(0, y, 4 * x), 4);
        return value;
    }
    bool is_filler_untouched() {
        for (int i = 0; i < plane_count(picture.format); i++)
            for (int y = 0; y + 1 < rows[i]; y++)
                for (int x = row_bytes[i]; x < picture.strides[i]; x++)
                    if (*at(i, y, x) != filler)
                        return false;
        return true;
    }
    bool shows_the_same(Owned &other) {
        for (int i = 0; i < plane_count(picture.format); i++)
            for (int y = 0; y < rows[i]; y++)
                if (std::memcmp(at(i, y, 0), other.at(i, y, 0), std::size_t(row_bytes[i])) != 0)
                    return false;
        return true;
    }
    // Y, U or V as a number.
    int code(int component, int y, int x) {
        const int depth = picture.format == HG_P010 ? 2 : 1;
        const bool is_pair = component > 0 && picture.format != HG_I420;
        const int column = is_pair ? 2 * x + component - 1 : x;
        const unsigned char *value = at(is_pair ? 1 : component, y, column * depth);
        return depth == 1 ? *value : (value[0] | value[1] << 8) >> 6;
    }
    View view(int channels = 3) {
        check_picture(picture, "picture", channels);
        return view_of(picture);
    }

    hg_picture picture{};
    std::vector<unsigned char> memory[3];
    int rows[3] = {}, row_bytes[3] = {};
};

Planes planes_of(Owned &picture, int channels, int height, int width) {
    Planes planes;
    planes.resize(channels, height, width);
    to_planes(picture.view(channels), channels, planes);
    return planes;
}

Planes planes_of(Owned &picture, int channels = 3) {
    return planes_of(picture, channels, picture.picture.height, picture.picture.width);
}

float value_at(const Planes &planes, int channel, int y, int x) {
    return planes.plane(channel)[y * planes.width + x];
}

template <typename Action> std::string sentence_of(hg_status status, Action action) {
    try {
        action();
    } catch (const Error &error) {
        return error.status == status ? error.what() : "another status";
    }
    return "";
}

bool contains(const std::string &sentence, const char *part) {
    return sentence.find(part) != std::string::npos;
}

// ---- Interleaved pictures -----------------------------------------------------------------------

void every_format_comes_back_unchanged_whatever_its_size_and_strides() {
    std::vector<hg_format> formats(std::begin(interleaved), std::end(interleaved));
    formats.insert(formats.end(), std::begin(yuv), std::end(yuv));
    for (hg_format format : formats)
        for (int width : {1, 2, 3, 17, 64, 131})
            for (int height : {1, 2, 5, 18})
                for (int extra : {0, 4, 60}) {
                    Owned in(format, width, height, extra), out(format, width, height, 2 * extra);
                    const Planes planes = planes_of(in, 3, height + 3, width + 7);
                    from_planes(planes, in.view(), out.view());
                    CHECK(out.shows_the_same(in));
                    CHECK(in.is_filler_untouched() && out.is_filler_untouched());
                    from_planes(planes, in.view(), in.view());
                    CHECK(out.shows_the_same(in) && in.is_filler_untouched());
                }
}

void channels_are_read_in_the_order_of_the_format() {
    Owned rgb(HG_RGB24, 5, 4), bgr(HG_BGR24, 5, 4, 3), rgba(HG_RGBA, 5, 4);
    const Planes from_rgb = planes_of(rgb), from_bgr = planes_of(bgr), from_rgba = planes_of(rgba);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 5; x++) {
                const float unit = float(1.0 / 255);
                CHECK(value_at(from_rgb, c, y, x) == float(*rgb.at(0, y, 3 * x + c)) * unit);
                CHECK(value_at(from_bgr, c, y, x) == float(*bgr.at(0, y, 3 * x + 2 - c)) * unit);
                CHECK(value_at(from_rgba, c, y, x) == float(*rgba.at(0, y, 4 * x + c)) * unit);
            }
}

void planes_larger_than_the_picture_are_filled_with_its_mirror_image() {
    const auto source = [](int index, int length) {  // walks to and fro
        int at = 0, step = 1;
        for (int i = 0; i < index; i++) {
            const bool turns = at + step < 0 || at + step == length;
            step = turns ? -step : step;
            at += turns ? 0 : step;
        }
        return at;
    };
    for (int width : {1, 2, 5, 16})
        for (int height : {1, 3, 9}) {
            Owned picture(HG_RGB24, width, height);
            const Planes exact = planes_of(picture), padded = planes_of(picture, 3, 32, 64);
            bool is_mirrored = true;
            for (int c = 0; c < 3; c++)
                for (int y = 0; y < 32; y++)
                    for (int x = 0; x < 64; x++)
                        is_mirrored &= value_at(padded, c, y, x) ==
                                       value_at(exact, c, source(y, height), source(x, width));
            CHECK(is_mirrored);
        }
}

void values_are_limited_and_rounded_half_to_even() {
    Owned in(HG_GRAY8, 1, 1), out(HG_GRAY8, 1, 1), deep(HG_GRAY16, 1, 1);
    Planes planes;
    planes.resize(1, 1, 1);
    const auto written = [&](float value) {
        planes.values[0] = value;
        from_planes(planes, in.view(), out.view());
        return int(*out.at(0, 0, 0));
    };
    const auto written_deep = [&](float value) {
        planes.values[0] = value;
        from_planes(planes, in.view(), deep.view());
        return *deep.at(0, 0, 0) | *deep.at(0, 0, 1) << 8;
    };
    int halves = 0;
    for (int i = 0; i <= 20000; i++) {
        const float value = float(i) / 20000, near_half = float((i % 255 + 0.5) / 255);
        CHECK(written(value) == int(std::nearbyint(value * 255.0f)));
        CHECK(written(near_half) == int(std::nearbyint(near_half * 255.0f)));
        CHECK(written_deep(value) == int(std::nearbyint(value * 65535.0f)));
        halves += near_half * 255.0f == float(i % 255) + 0.5f;
    }
    CHECK(halves > 0);
    CHECK(written(-0.0f) == 0 && written(-1e-9f) == 0 && written(-1e30f) == 0);
    CHECK(written(1.1f) == 255 && written(1e30f) == 255);
    CHECK(written_deep(-3) == 0 && written_deep(3) == 65535);
}

void floats_are_written_as_they_are() {
    Owned in(HG_RGB24, 3, 2), out(HG_RGBF32, 3, 2, 4);
    Planes planes;
    planes.resize(3, 2, 3);
    for (float &value : planes.values)
        value = 3 * random_float() - 1;
    from_planes(planes, in.view(), out.view());
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < 3; x++)
                CHECK(out.get_float(y, 3 * x + c) == value_at(planes, c, y, x));
}

void alpha_is_kept_or_opaque() {
    for (int width : {1, 7, 40}) {
        Owned in(HG_RGBA, width, 3, 4), out(HG_RGBA, width, 3), opaque(HG_RGB24, width, 3);
        Planes planes;
        planes.resize(3, 3, width);
        for (float &value : planes.values)
            value = random_float();
        from_planes(planes, in.view(), out.view());
        for (int x = 0; x < width; x++)
            CHECK(*out.at(0, 2, 4 * x + 3) == *in.at(0, 2, 4 * x + 3));
        from_planes(planes, in.view(), in.view());
        CHECK(in.shows_the_same(out));
        from_planes(planes, opaque.view(), out.view());
        for (int x = 0; x < width; x++)
            CHECK(*out.at(0, 1, 4 * x + 3) == 255);
    }
}

// ---- Gray ---------------------------------------------------------------------------------------

void gray_is_repeated_and_averaged_in_order() {
    for (hg_format format : {HG_GRAY8, HG_GRAY16}) {
        Owned in(format, 9, 4, 6), out(HG_RGBF32, 9, 4);
        const Planes one = planes_of(in, 1);
        Planes three = planes_of(in, 3);
        for (std::size_t i = 0; i < one.values.size(); i++)
            for (int c = 0; c < 3; c++)
                CHECK(three.plane(c)[i] == one.values[i]);
        for (float &value : three.values)
            value = random_float();
        from_planes(three, in.view(), out.view());
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 27; x++) {
                const float sum = value_at(three, 0, y, x / 3) + value_at(three, 1, y, x / 3);
                CHECK(out.get_float(y, x) == (sum + value_at(three, 2, y, x / 3)) / 3.0f);
            }
    }
}

void gray_in_colour_is_recognised_and_gets_no_tint() {
    for (hg_format format : {HG_RGB24, HG_BGR24, HG_RGBA, HG_RGBF32}) {
        Owned in(format, 35, 70, 4);
        CHECK(!is_gray(in.view()));
        const int step = format == HG_RGBF32 ? 4 : 1, pixel = bytes_of(format, 0);
        for (int y = 0; y < 70; y++)
            for (int x = 0; x < 35; x++)
                for (int c = 1; c < 3; c++)
                    std::memcpy(in.at(0, y, x * pixel + c * step), in.at(0, y, x * pixel),
                                std::size_t(step));
        CHECK(is_gray(in.view()));
        Planes planes = planes_of(in);
        for (float &value : planes.values)
            value = random_float();
        Owned out(HG_RGBF32, 35, 70);
        write_gray(planes, in.view(), out.view());
        CHECK(is_gray(out.view()));
        const float sum = value_at(planes, 0, 69, 34) + value_at(planes, 1, 69, 34);
        CHECK(out.get_float(69, 3 * 34) == (sum + value_at(planes, 2, 69, 34)) / 3.0f);
        *in.at(0, 33, 34 * pixel + step) ^= 1;  // a single value, in a row that is no probe
        CHECK(!is_gray(in.view()));
    }
    for (hg_format format : yuv) {
        Owned in(format, 5, 7);
        CHECK(!is_gray(in.view()));
        for (int i = 1; i < plane_count(format); i++)
            for (int x = 0; x < int(in.memory[i].size()); x++)
                in.memory[i][std::size_t(x)] = format == HG_P010 && x % 2 == 0 ? 0 : 0x80;
        CHECK(is_gray(in.view()));
        Owned out(format, 5, 7);
        Planes planes = planes_of(in);
        for (float &value : planes.values)
            value = random_float();
        write_gray(planes, in.view(), out.view());
        CHECK(is_gray(out.view()));
        in.memory[std::size_t(plane_count(format) - 1)].back() ^= 0x40;
        CHECK(!is_gray(in.view()));
    }
    Owned gray(HG_GRAY8, 2, 2);
    CHECK(!is_gray(gray.view()));
}

// ---- NaN ----------------------------------------------------------------------------------------

void nan_from_the_engine_fails_and_leaves_the_picture() {
    const float infinity = std::numeric_limits<float>::infinity();
    for (hg_format format : {HG_RGB24, HG_RGBF32, HG_NV12})
        for (float bad : {std::nanf(""), -std::nanf(""), infinity, -infinity}) {
            Owned in(format, 19, 6), out(format, 19, 6);
            const std::vector<unsigned char> before = out.memory[0];
            Planes planes = planes_of(in, 3, 8, 24);
            planes.plane(1)[5 * 24 + 19] = bad;  // in the padding, which is cut off
            CHECK(sentence_of(HG_FAILED, [&] { from_planes(planes, in.view(), in.view()); }) == "");
            planes.plane(2)[5 * 24 + 18] = bad;
            const auto sentence =
                sentence_of(HG_FAILED, [&] { from_planes(planes, in.view(), out.view()); });
            CHECK(contains(sentence, "NaN or infinity"));
            CHECK(out.memory[0] == before);
        }
}

void floats_far_from_0_to_1_are_refused() {
    const auto refusal = [](float value) {
        Owned picture(HG_RGBF32, 11, 3);
        picture.set_float(2, 32, value);
        return sentence_of(HG_BAD_ARGUMENT, [&] { planes_of(picture); });
    };
    CHECK(refusal(-1) == "" && refusal(2) == "" && refusal(-0.0f) == "");
    CHECK(contains(refusal(std::nextafter(2.0f, 3.0f)), "has the value 2,"));
    CHECK(contains(refusal(std::nextafter(-1.0f, -2.0f)), "has the value -1,"));
    CHECK(contains(refusal(127.5f), "has the value 127.5, but float pictures go from 0 to 1"));
    for (float bad : {std::nanf(""), -std::nanf(""), std::numeric_limits<float>::infinity()})
        CHECK(contains(refusal(bad), "contains NaN or infinity") && refusal(-bad) == refusal(bad));
}

// ---- YUV ----------------------------------------------------------------------------------------

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

// ---- Checks -------------------------------------------------------------------------------------

std::string refusal(const hg_picture &picture, int channels = 3) {
    return sentence_of(HG_BAD_ARGUMENT, [&] { check_picture(picture, "frame", channels); });
}

// What is said of a picture of 6 x 4 pixels after `change` was made to it.
template <typename Change> std::string refusal_after(hg_format format, Change change) {
    Owned owned(format, 6, 4, 4);
    hg_picture picture = owned.picture;
    change(picture);
    return refusal(picture);
}

void unusable_pictures_are_refused_with_a_sentence() {
    for (int number : {0, 10, 12345, -1})
        CHECK(contains(
            refusal_after(HG_RGB24, [&](hg_picture &p) { std::memcpy(&p.format, &number, 4); }),
            "The picture 'frame' has the unknown format"));
    const auto sized = [](int width, int height) {
        return refusal_after(
            HG_GRAY8, [=](hg_picture &p) { p.width = width, p.height = height, p.strides[0] = 0; });
    };
    CHECK(contains(sized(0, 4), "is 0 x 4 pixels, which is empty"));
    CHECK(contains(sized(4, -1), "is 4 x -1 pixels, which is empty"));
    CHECK(contains(sized(65537, 1), "at most 65536") && contains(sized(1, 65537), "at most 65536"));
    CHECK(contains(sized(16385, 16384), "at most") && sized(16384, 16384) == "");
    CHECK(sized(65536, 4096) == "" && contains(sized(INT32_MAX, INT32_MAX), "at most"));
    for (hg_format format : {HG_NV12, HG_I420, HG_P010, HG_RGB24, HG_RGBF32})
        for (int i = 0; i < plane_count(format); i++) {
            const std::string plane = "plane " + std::to_string(i);
            CHECK(contains(refusal_after(format, [&](hg_picture &p) { p.planes[i] = nullptr; }),
                           ("has no " + plane).c_str()));
            const int bytes = (i == 0 ? 6 : 3) * bytes_of(format, i);
            const auto strided = [&](std::ptrdiff_t stride) {
                return refusal_after(format, [&](hg_picture &p) { p.strides[i] = stride; });
            };
            CHECK(strided(0) == "" && strided(bytes) == "");
            CHECK(contains(strided(bytes - 1), ("in " + plane + ", but its rows have").c_str()));
            CHECK(contains(strided(-bytes), "bottom-up pictures are not supported"));
            CHECK(contains(strided(PTRDIFF_MAX), "exceeds the memory"));
        }
    for (hg_format format : {HG_GRAY16, HG_P010, HG_RGBF32}) {
        CHECK(contains(
            refusal_after(
                format, [](hg_picture &p) { p.planes[0] = static_cast<char *>(p.planes[0]) + 1; }),
            "at an address that is no multiple of"));
        CHECK(contains(refusal_after(format, [](hg_picture &p) { p.strides[0] += 1; }),
                       "needs a multiple of"));
    }
    for (int number : {-1, 3}) {
        const auto matrix = [&](hg_picture &p) { std::memcpy(&p.matrix, &number, 4); };
        const auto range = [&](hg_picture &p) { std::memcpy(&p.range, &number, 4); };
        CHECK(contains(refusal_after(HG_NV12, matrix), "unknown matrix"));
        CHECK(contains(refusal_after(HG_I420, range), "unknown range"));
        CHECK(refusal_after(HG_RGB24, matrix) == "" && refusal_after(HG_RGB24, range) == "");
    }
}

void colour_is_refused_for_gray_networks() {
    for (hg_format format : interleaved) {
        Owned picture(format, 3, 3);
        CHECK(refusal(picture.picture, 3) == "");
        CHECK(contains(refusal(picture.picture, 1), "takes gray pictures") !=
              is_gray_format(format));
    }
    for (hg_format format : yuv)
        CHECK(refusal(Owned(format, 3, 3).picture, 1) == "");
}

void overlapping_pictures_are_told_from_the_same_and_from_neighbours() {
    std::vector<unsigned char> memory(4096);
    const auto at = [&](hg_format format, int offset, int width, int height, int stride) {
        hg_picture picture{};
        picture.format = format, picture.width = width, picture.height = height;
        picture.planes[0] = memory.data() + offset, picture.strides[0] = stride;
        return view_of(picture);
    };
    const View left = at(HG_GRAY8, 0, 10, 8, 20);
    CHECK(is_same_layout(left, at(HG_GRAY8, 0, 10, 8, 20)));
    CHECK(!overlap_partially(left, left));
    CHECK(!is_same_layout(left, at(HG_GRAY8, 0, 10, 8, 21)));
    CHECK(overlap_partially(left, at(HG_GRAY8, 0, 10, 8, 21)));
    CHECK(overlap_partially(left, at(HG_GRAY8, 0, 10, 7, 20)));
    CHECK(overlap_partially(at(HG_RGB24, 0, 4, 4, 12), at(HG_BGR24, 0, 4, 4, 12)));
    // With equal strides, against a look at every byte.
    for (int offset = 0; offset < 200; offset++)
        for (int width : {1, 7, 10, 13, 20}) {
            std::vector<int> uses(4096);
            const View other = at(HG_GRAY8, offset, width, 3, 20);
            for (const View &view : {left, other})
                for (int y = 0; y < view.height; y++)
                    for (int x = 0; x < view.width; x++)
                        uses[std::size_t(view.planes[0].row(y) + x - memory.data())]++;
            bool meet = false;
            for (int use : uses)
                meet |= use == 2;
            CHECK(overlap_partially(left, other) == meet && overlap_partially(other, left) == meet);
        }
    Owned picture(HG_I420, 6, 6);
    CHECK(!planes_overlap(picture.view()));
    picture.picture.planes[2] = picture.memory[1].data() + 8;
    CHECK(planes_overlap(picture.view()));
    picture.picture.planes[2] = picture.memory[0].data() + 35;
    CHECK(planes_overlap(picture.view()));
}

}  // namespace

int main() {
    every_format_comes_back_unchanged_whatever_its_size_and_strides();
    channels_are_read_in_the_order_of_the_format();
    planes_larger_than_the_picture_are_filled_with_its_mirror_image();
    values_are_limited_and_rounded_half_to_even();
    floats_are_written_as_they_are();
    alpha_is_kept_or_opaque();
    gray_is_repeated_and_averaged_in_order();
    gray_in_colour_is_recognised_and_gets_no_tint();
    nan_from_the_engine_fails_and_leaves_the_picture();
    floats_far_from_0_to_1_are_refused();
    yuv_becomes_rgb_by_the_formula();
    rgb_becomes_yuv_by_the_formula();
    yuv_changes_by_what_the_network_changed();
    layout_and_depth_and_range_and_matrix_of_yuv_may_change_on_the_way();
    gray_networks_take_y_and_leave_chroma();
    unusable_pictures_are_refused_with_a_sentence();
    colour_is_refused_for_gray_networks();
    overlapping_pictures_are_told_from_the_same_and_from_neighbours();
    return failures > 0;
}
