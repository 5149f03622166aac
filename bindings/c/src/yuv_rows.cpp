#include "yuv_rows.hpp"

#include <cstdint>

#include "pixels_vector.hpp"

namespace hyperguide {

namespace {

using Byte = unsigned char;
using Word = std::uint16_t;

// P010 has its 10 bits in the upper part of 16.
constexpr int UNUSED_BITS = 6;

// Codes are zero + span * level.
struct Scale {
    float zero, span, top;  // top: the highest code
};

// In units of 8 bits: 16 and 219 for luma, 128 and 224 for chroma, if the range is limited.
Scale scale_of(const View &picture, bool is_chroma) {
    const float unit = picture.format == HG_P010 ? 4 : 1;
    const float top = 256 * unit - 1;
    const bool is_full = picture.range == HG_FULL;
    if (is_chroma)
        return {128 * unit, is_full ? top : 224 * unit, top};
    return {is_full ? 0 : 16 * unit, is_full ? top : 219 * unit, top};
}

HG_VECTORISED void read_bytes(const Byte *__restrict row, int width, float zero, float share,
                              float *__restrict levels) {
    for (int x = 0; x < width; x++)
        levels[x] = (float(row[x]) - zero) * share;
}

HG_VECTORISED void read_words(const Word *__restrict row, int width, float zero, float share,
                              float *__restrict levels) {
    for (int x = 0; x < width; x++)
        levels[x] = (float(row[x] >> UNUSED_BITS) - zero) * share;
}

HG_VECTORISED void read_byte_pairs(const Byte *__restrict row, int width, float zero, float share,
                                   float *__restrict first, float *__restrict second) {
    for (int x = 0; x < width; x++) {
        first[x] = (float(row[2 * x]) - zero) * share;
        second[x] = (float(row[2 * x + 1]) - zero) * share;
    }
}

HG_VECTORISED void read_word_pairs(const Word *__restrict row, int width, float zero, float share,
                                   float *__restrict first, float *__restrict second) {
    for (int x = 0; x < width; x++) {
        first[x] = (float(row[2 * x] >> UNUSED_BITS) - zero) * share;
        second[x] = (float(row[2 * x + 1] >> UNUSED_BITS) - zero) * share;
    }
}

inline std::int32_t code_of(float level, const Scale &scale) {
    return rounded(limited(level * scale.span + scale.zero, scale.top));
}

HG_VECTORISED void write_bytes(const float *__restrict levels, int width, Scale scale,
                               Byte *__restrict row) {
    for (int x = 0; x < width; x++)
        row[x] = Byte(code_of(levels[x], scale));
}

HG_VECTORISED void write_words(const float *__restrict levels, int width, Scale scale,
                               Word *__restrict row) {
    for (int x = 0; x < width; x++)
        row[x] = Word(code_of(levels[x], scale) << UNUSED_BITS);
}

HG_VECTORISED void write_byte_pairs(const float *__restrict first, const float *__restrict second,
                                    int width, Scale scale, Byte *__restrict row) {
    for (int x = 0; x < width; x++) {
        row[2 * x] = Byte(code_of(first[x], scale));
        row[2 * x + 1] = Byte(code_of(second[x], scale));
    }
}

HG_VECTORISED void write_word_pairs(const float *__restrict first, const float *__restrict second,
                                    int width, Scale scale, Word *__restrict row) {
    for (int x = 0; x < width; x++) {
        row[2 * x] = Word(code_of(first[x], scale) << UNUSED_BITS);
        row[2 * x + 1] = Word(code_of(second[x], scale) << UNUSED_BITS);
    }
}

bool are_all(const Byte *row, int count, int code) {
    bool differ = false;
    for (int x = 0; x < count; x++)
        differ |= row[x] != code;
    return !differ;
}

bool are_all(const Word *row, int count, int code) {
    bool differ = false;
    for (int x = 0; x < count; x++)
        differ |= row[x] >> UNUSED_BITS != code;
    return !differ;
}

Word *words_of(const Plane &plane, int y) {
    return reinterpret_cast<Word *>(plane.row(y));
}

}  // namespace

void read_luma(const View &picture, int y, float *luma) {
    const Plane &plane = picture.planes[0];
    const Scale scale = scale_of(picture, false);
    if (picture.format == HG_P010)
        read_words(words_of(plane, y), plane.width, scale.zero, 1 / scale.span, luma);
    else
        read_bytes(plane.row(y), plane.width, scale.zero, 1 / scale.span, luma);
}

void read_chroma(const View &picture, int y, float *u, float *v) {
    const Plane &plane = picture.planes[1];
    const Scale scale = scale_of(picture, true);
    const float share = 1 / scale.span;
    if (picture.format == HG_P010) {
        read_word_pairs(words_of(plane, y), plane.width, scale.zero, share, u, v);
    } else if (picture.format == HG_NV12) {
        read_byte_pairs(plane.row(y), plane.width, scale.zero, share, u, v);
    } else {
        read_bytes(plane.row(y), plane.width, scale.zero, share, u);
        read_bytes(picture.planes[2].row(y), plane.width, scale.zero, share, v);
    }
}

void write_luma(const View &picture, int y, const float *luma) {
    const Plane &plane = picture.planes[0];
    const Scale scale = scale_of(picture, false);
    if (picture.format == HG_P010)
        write_words(luma, plane.width, scale, words_of(plane, y));
    else
        write_bytes(luma, plane.width, scale, plane.row(y));
}

void write_chroma(const View &picture, int y, const float *u, const float *v) {
    const Plane &plane = picture.planes[1];
    const Scale scale = scale_of(picture, true);
    if (picture.format == HG_P010) {
        write_word_pairs(u, v, plane.width, scale, words_of(plane, y));
    } else if (picture.format == HG_NV12) {
        write_byte_pairs(u, v, plane.width, scale, plane.row(y));
    } else {
        write_bytes(u, plane.width, scale, plane.row(y));
        write_bytes(v, plane.width, scale, picture.planes[2].row(y));
    }
}

bool has_neutral_chroma(const View &picture) {
    const int middle = int(scale_of(picture, true).zero);
    for (int i = 1; i < picture.plane_count; i++) {
        const Plane &plane = picture.planes[i];
        const int count = picture.format == HG_I420 ? plane.width : 2 * plane.width;
        for (int y = 0; y < plane.height; y++)
            if (picture.format == HG_P010 ? !are_all(words_of(plane, y), count, middle)
                                          : !are_all(plane.row(y), count, middle))
                return false;
    }
    return true;
}

}  // namespace hyperguide
