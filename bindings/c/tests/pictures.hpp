// Pictures in memory of their own, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "error.hpp"
#include "pixels.hpp"

namespace hyperguide {

inline std::mt19937 random_bits(1);

inline float random_float() {
    return float(random_bits() % 10001) / 10000;
}

constexpr unsigned char filler = 0xA5;

const hg_format interleaved[] = {HG_RGB24, HG_BGR24, HG_RGBA, HG_GRAY8, HG_GRAY16, HG_RGBF32};
const hg_format yuv[] = {HG_NV12, HG_I420, HG_P010};

inline bool is_yuv(hg_format format) {
    return format >= HG_NV12;
}
inline bool is_gray_format(hg_format format) {
    return format == HG_GRAY8 || format == HG_GRAY16;
}

inline int plane_count(hg_format format) {
    return format == HG_I420 ? 3 : is_yuv(format) ? 2 : 1;
}

inline int bytes_of(hg_format format, int plane) {
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

inline Planes planes_of(Owned &picture, int channels, int height, int width) {
    Planes planes;
    planes.resize(channels, height, width);
    to_planes(picture.view(channels), planes);
    return planes;
}

inline Planes planes_of(Owned &picture, int channels = 3) {
    return planes_of(picture, channels, picture.picture.height, picture.picture.width);
}

inline float value_at(const Planes &planes, int channel, int y, int x) {
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

inline bool contains(const std::string &sentence, const char *part) {
    return sentence.find(part) != std::string::npos;
}

}  // namespace hyperguide
