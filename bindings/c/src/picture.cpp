#include "picture.hpp"

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "error.hpp"
#include "planes.hpp"

namespace hyperguide {

namespace {

struct Format {
    const char *name;
    int planes;
    int bytes[3];  // of a pixel, or of a chroma value, in each plane
    int alignment;
};

// In the order of hg_format, which starts at 1.
constexpr Format FORMATS[] = {
    {"RGB24", 1, {3, 0, 0}, 1}, {"BGR24", 1, {3, 0, 0}, 1},  {"RGBA", 1, {4, 0, 0}, 1},
    {"GRAY8", 1, {1, 0, 0}, 1}, {"GRAY16", 1, {2, 0, 0}, 2}, {"RGBF32", 1, {12, 0, 0}, 4},
    {"NV12", 2, {1, 2, 0}, 1},  {"I420", 3, {1, 1, 1}, 1},   {"P010", 2, {2, 4, 0}, 2},
};
constexpr int FORMAT_COUNT = sizeof FORMATS / sizeof *FORMATS;

// A caller in C may store any number in an enum; to read such a value as an enum is undefined.
template <typename Enum> int number_of(const Enum &value) {
    static_assert(sizeof(Enum) == sizeof(int), "enums of the C interface are ints");
    int number;
    std::memcpy(&number, &value, sizeof number);
    return number;
}

Plane plane_of(const hg_picture &picture, const Format &format, int index) {
    const int halved = index > 0;  // chroma; odd sizes are rounded up
    Plane plane;
    plane.data = static_cast<unsigned char *>(picture.planes[index]);
    plane.width = (picture.width + halved) >> halved;
    plane.height = (picture.height + halved) >> halved;
    plane.row_bytes = std::size_t(plane.width) * std::size_t(format.bytes[index]);
    plane.stride = picture.strides[index];
    if (plane.stride == 0)
        plane.stride = std::ptrdiff_t(plane.row_bytes);
    return plane;
}

// Bytes from the first of some rows to the last.
std::size_t extent(std::ptrdiff_t stride, std::size_t row_bytes, int height) {
    return std::size_t(stride) * std::size_t(height - 1) + row_bytes;
}

std::size_t extent(const Plane &plane) {
    return extent(plane.stride, plane.row_bytes, plane.height);
}

bool overlap(const Plane &one, const Plane &other) {
    auto first = reinterpret_cast<std::uintptr_t>(one.data);
    auto second = reinterpret_cast<std::uintptr_t>(other.data);
    if (first > second)
        return overlap(other, one);
    const std::uintptr_t distance = second - first;
    if (distance >= extent(one))
        return false;
    if (one.stride != other.stride)
        return true;  // strictly only if rows meet, but nobody interleaves planes that way
    // With equal strides, rows meet the same way everywhere: `other` starts in row `above` of
    // `one`, at byte `column`, and its end may reach into the row after that.
    const auto stride = std::size_t(one.stride);
    const std::size_t above = distance / stride, column = distance % stride;
    return column < one.row_bytes ||
           (column + other.row_bytes > stride && above + 1 < std::size_t(one.height));
}

class Checker {
  public:
    Checker(const hg_picture &picture, const char *name) : picture(picture), name(name) {}

    void check(int channels) const {
        const int number = number_of(picture.format);
        if (number < 1 || number > FORMAT_COUNT)
            fail("has the unknown format " + std::to_string(number) + ": set one of hg_format.");
        check_size();
        const Format &format = FORMATS[number - 1];
        for (int i = 0; i < format.planes; i++)
            check_plane(format, i);
        if (format.planes > 1)
            check_coding();
        const bool is_color =
            format.planes == 1 && picture.format != HG_GRAY8 && picture.format != HG_GRAY16;
        if (channels == 1 && is_color)
            throw Error(HG_BAD_ARGUMENT, std::string("This model takes gray pictures: give '") + name +
                                             "' in a gray format, or in NV12, I420 or P010.");
    }

  private:
    [[noreturn]] void fail(const std::string &what) const {
        throw Error(HG_BAD_ARGUMENT, std::string("The picture '") + name + "' " + what);
    }

    void check_size() const {
        const int width = picture.width, height = picture.height;
        const std::string size =
            "is " + std::to_string(width) + " x " + std::to_string(height) + " pixels, ";
        if (width < 1 || height < 1)
            fail(size + "which is empty: set its width and height.");
        if (width > LARGEST_SIDE || height > LARGEST_SIDE ||
            std::int64_t(width) * height > MOST_PIXELS)
            fail(size + "but at most 65536 a side and 268435456 in all are possible: "
                        "enhance it in parts.");
    }

    void check_plane(const Format &format, int index) const {
        const Plane plane = plane_of(picture, format, index);
        const std::string number = std::to_string(index);
        const std::string stride =
            "has a stride of " + std::to_string(plane.stride) + " bytes in plane " + number + ", ";
        if (plane.data == nullptr)
            fail("has no plane " + number + ": set planes[" + number + "], which " + format.name +
                 " needs.");
        if (plane.stride < 0)
            fail(stride + "but bottom-up pictures are not supported: flip it first.");
        if (std::size_t(plane.stride) < plane.row_bytes)
            fail(stride + "but its rows have " + std::to_string(plane.row_bytes) +
                 ": set the bytes from a row to the next, or 0 if rows follow each other.");
        if (exceeds_memory(plane.data, plane.stride, plane.row_bytes, plane.height))
            fail(stride + "which exceeds the memory: set the bytes from a row to the next.");
        const auto alignment = std::size_t(format.alignment);
        if (reinterpret_cast<std::uintptr_t>(plane.data) % alignment != 0)
            fail("has plane " + number + " at an address that is no multiple of " +
                 std::to_string(alignment) + ": align it, as " + format.name + " needs.");
        if (std::size_t(plane.stride) % alignment != 0)
            fail(stride + "but " + format.name + " needs a multiple of " +
                 std::to_string(alignment) + ": copy it to rows of such a size.");
    }

    void check_coding() const {
        const int matrix = number_of(picture.matrix), range = number_of(picture.range);
        if (matrix < HG_BT709 || matrix > HG_BT2020)
            fail("has the unknown matrix " + std::to_string(matrix) + ": set one of hg_matrix.");
        if (range < HG_LIMITED || range > HG_FULL)
            fail("has the unknown range " + std::to_string(range) + ": set one of hg_range.");
    }

    const hg_picture &picture;
    const char *name;
};

}  // namespace

bool exceeds_memory(const void *data, std::ptrdiff_t stride, std::size_t row_bytes, int height) {
    if (stride > PTRDIFF_MAX / height)
        return true;
    return reinterpret_cast<std::uintptr_t>(data) > UINTPTR_MAX - extent(stride, row_bytes, height);
}

void check_picture(const hg_picture &picture, const char *name, int channels) {
    Checker(picture, name).check(channels);
}

View view_of(const hg_picture &picture) {
    const Format &format = FORMATS[picture.format - 1];
    View view;
    view.format = picture.format;
    view.width = picture.width, view.height = picture.height;
    view.plane_count = format.planes;
    for (int i = 0; i < format.planes; i++)
        view.planes[i] = plane_of(picture, format, i);
    if (view.is_yuv())  // otherwise they are not checked
        view.matrix = picture.matrix, view.range = picture.range;
    return view;
}

bool is_same_layout(const View &in, const View &out) {
    if (in.format != out.format || in.width != out.width || in.height != out.height)
        return false;
    for (int i = 0; i < in.plane_count; i++)
        if (in.planes[i].data != out.planes[i].data || in.planes[i].stride != out.planes[i].stride)
            return false;
    return true;
}

bool overlap_partially(const View &in, const View &out) {
    if (is_same_layout(in, out))
        return false;
    for (int i = 0; i < in.plane_count; i++)
        for (int j = 0; j < out.plane_count; j++)
            if (overlap(in.planes[i], out.planes[j]))
                return true;
    return false;
}

bool planes_overlap(const View &picture) {
    for (int i = 0; i < picture.plane_count; i++)
        for (int j = 0; j < i; j++)
            if (overlap(picture.planes[i], picture.planes[j]))
                return true;
    return false;
}

}  // namespace hyperguide
