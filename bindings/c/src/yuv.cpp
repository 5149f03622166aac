#include "yuv.hpp"

#include <algorithm>
#include <optional>

#include "pixels_rows.hpp"
#include "pixels_vector.hpp"
#include "yuv_colors.hpp"
#include "yuv_rows.hpp"

namespace hyperguide {

namespace {

using Row = Floats;

// Three rows of colours.
struct Colors {
    const float *red, *green, *blue;
};

// Adds the change of luma to `luma`, and gives that of chroma for each pixel.
HG_VECTORISED void from_rgb(Colors after, Colors before, LumaWeights weights, int width,
                            float *__restrict luma, float *__restrict u, float *__restrict v) {
    const float *__restrict const red = after.red, *__restrict const green = after.green,
                                  *__restrict const blue = after.blue;
    const float *__restrict const red0 = before.red, *__restrict const green0 = before.green,
                                  *__restrict const blue0 = before.blue;
    const float per_blue = 0.5f / (1 - weights.blue), per_red = 0.5f / (1 - weights.red);
    for (int x = 0; x < width; x++) {
        const float r = red[x] - red0[x], g = green[x] - green0[x], b = blue[x] - blue0[x];
        const float change = weights.red * r + weights.green * g + weights.blue * b;
        luma[x] += change;
        u[x] = (b - change) * per_blue;
        v[x] = (r - change) * per_red;
    }
}

HG_VECTORISED void add_difference(const float *__restrict after, const float *__restrict before,
                                  int width, float *__restrict luma) {
    for (int x = 0; x < width; x++)
        luma[x] += after[x] - before[x];
}

// Adds the share of pairs of neighbours to `sums`.
HG_VECTORISED void add_pairs(const float *__restrict row, float share, int width,
                             float *__restrict sums) {
    for (int x = 0; x < width; x++)
        sums[x] += (row[2 * x] + row[2 * x + 1]) * share;
}

class Writer {
  public:
    Writer(const Planes &planes, bool is_gray, const View &in, const View &out)
        : planes(planes), is_gray(is_gray), out(out), weights(luma_weights(out.matrix)),
          luma(std::size_t(out.width)) {
        const auto width = std::size_t(out.width), chroma_width = std::size_t(out.planes[1].width);
        if (in.is_yuv() && in.matrix == out.matrix)
            reader.emplace(in);
        for (Row *row : {&mean, &before[0], &before[1], &before[2]})
            row->resize(width);
        for (Row *row : {&wide_u, &wide_v})
            row->resize(2 * chroma_width);
        for (Row *row : {&u, &v})
            row->resize(chroma_width);
    }

    void write() {
        for (int y = 0; y < out.planes[1].height; y++)
            write_block_row(y);
    }

  private:
    // A row of chroma, and the one or two rows of luma that belong to it.
    void write_block_row(int y) {
        const int end = std::min(2 * y + 2, out.height);
        std::fill(u.begin(), u.end(), 0.0f);
        std::fill(v.begin(), v.end(), 0.0f);
        for (int row = 2 * y; row < end; row++) {
            if (is_gray)
                change_gray(row);
            else
                change_colors(row, 0.5f / float(end - 2 * y));
            write_luma(out, row, luma.data());
        }
        if (reader) {
            const YuvReader::Chroma chroma = reader->chroma(y);
            for (std::size_t x = 0; x < u.size(); x++)
                u[x] += chroma.u[x], v[x] += chroma.v[x];
        }
        write_chroma(out, y, u.data(), v.data());
    }

    // Without a reader, `before` stays black.
    void change_gray(int y) {
        if (reader)
            reader->read_gray(y, before[0].data());
        start_luma();
        const float *gray = row_of(0, y);
        if (planes.channels == 3) {
            mean_row(gray, row_of(1, y), row_of(2, y), out.width, mean.data());
            gray = mean.data();
        }
        add_difference(gray, before[0].data(), out.width, luma.data());
    }

    // share: of a pixel in the chroma of its block.
    void change_colors(int y, float share) {
        if (reader)
            reader->read_rgb(y, before[0].data(), before[1].data(), before[2].data());
        start_luma();
        from_rgb({row_of(0, y), row_of(1, y), row_of(2, y)},
                 {before[0].data(), before[1].data(), before[2].data()}, weights, out.width,
                 luma.data(), wide_u.data(), wide_v.data());
        if (out.width % 2 != 0) {  // half a block
            wide_u.back() = wide_u[wide_u.size() - 2];
            wide_v.back() = wide_v[wide_v.size() - 2];
        }
        add_pairs(wide_u.data(), share, int(u.size()), u.data());
        add_pairs(wide_v.data(), share, int(v.size()), v.data());
    }

    void start_luma() {
        if (reader)
            std::copy_n(reader->luma(), luma.size(), luma.begin());
        else
            std::fill(luma.begin(), luma.end(), 0.0f);
    }

    const float *row_of(int channel, int y) const {
        return planes.plane(channel) + std::size_t(y) * std::size_t(planes.width);
    }

    const Planes &planes;
    const bool is_gray;
    const View out;
    const LumaWeights weights;
    std::optional<YuvReader> reader;  // of the input, if it is to be changed rather than replaced
    Row luma, mean, before[3], wide_u, wide_v, u, v;
};

}  // namespace

void yuv_to_planes(const View &picture, Planes &planes) {
    YuvReader reader(picture);
    for (int y = 0; y < picture.height; y++) {
        const std::size_t first = std::size_t(y) * std::size_t(planes.width);
        if (planes.channels == 1)
            reader.read_gray(y, planes.plane(0) + first);
        else
            reader.read_rgb(y, planes.plane(0) + first, planes.plane(1) + first,
                            planes.plane(2) + first);
    }
}

void planes_to_yuv(const Planes &planes, bool is_gray, const View &in, const View &out) {
    Writer(planes, is_gray, in, out).write();
}

}  // namespace hyperguide
