// RGB and gray to planes and back, against formulas that are written anew here.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "check.hpp"
#include "pictures.hpp"

using namespace hyperguide;

namespace {

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
    return failures > 0;
}
