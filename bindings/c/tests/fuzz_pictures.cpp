// Fuzzing: any numbers in picture structs. A picture is refused by an Error, or can be read and
// written within the memory that its numbers claim.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "error.hpp"
#include "maps.hpp"
#include "pixels.hpp"

using namespace hyperguide;

namespace {

constexpr std::size_t MEMORY = 1 << 16;  // behind each plane
constexpr std::size_t SHIFT = 4;        // planes begin up to so many bytes after its start

// Takes values from the input; zeros after its end.
struct Source {
    const std::uint8_t *data;
    std::size_t size;

    template <typename Value> Value next() {
        Value value{};
        const std::size_t count = std::min(sizeof value, size);
        std::memcpy(&value, data, count);
        data += count, size -= count;
        return value;
    }
};

// Whether all that a checked picture may touch lies within the memory.
bool fits(const View &view) {
    for (int i = 0; i < view.plane_count; i++) {
        const Plane &plane = view.planes[i];
        if (std::size_t(plane.stride) * (plane.height - 1) + plane.row_bytes > MEMORY)
            return false;
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    Source source{data, size};
    const int channels = source.next<std::uint8_t>() % 2 ? 3 : 1;
    std::unique_ptr<unsigned char[]> memory[6];
    hg_picture pictures[2] = {};
    for (int p = 0; p < 2; p++) {
        hg_picture &picture = pictures[p];
        const int format = source.next<std::int8_t>();
        std::memcpy(&picture.format, &format, sizeof format);
        const bool is_wild = source.next<std::uint8_t>() % 8 == 0;
        picture.width = is_wild ? source.next<std::int32_t>() : source.next<std::uint8_t>();
        picture.height = is_wild ? source.next<std::int32_t>() : source.next<std::uint8_t>();
        picture.matrix = hg_matrix(source.next<std::uint8_t>() % 3);
        picture.range = hg_range(source.next<std::uint8_t>() % 2);
        for (int i = 0; i < 3; i++) {
            picture.strides[i] = is_wild ? source.next<std::ptrdiff_t>() : source.next<std::int16_t>();
            const std::uint8_t choice = source.next<std::uint8_t>();
            memory[3 * p + i] = std::make_unique<unsigned char[]>(MEMORY + SHIFT);
            if (choice % 16 != 0)
                picture.planes[i] = memory[choice % 16 == 1 ? 0 : 3 * p + i].get() + choice % SHIFT;
            for (int k = 0; k < 64; k++)
                memory[3 * p + i][k * 997 % MEMORY] = source.next<std::uint8_t>();
        }
    }
    hg_map map{};
    map.values = reinterpret_cast<float *>(memory[0].get());
    map.width = pictures[0].width, map.height = pictures[1].height;
    map.stride = pictures[1].strides[0];
    try {
        check_map(map, "map");
        const std::size_t row = sizeof(float) * map.width;
        const std::size_t stride = map.stride ? map.stride : row;
        if (stride * (map.height - 1) + row <= MEMORY) {
            Planes values;
            values.resize(1, map.height, map.width);
            write_map(values, map);
            ModelInfo info;
            read_map(map, info, pictures[1].height % 64 + 64, 50, values);
        }
        read_kernel(map.values, pictures[0].height % 64, pictures[1].width % 64);
    } catch (const Error &error) {
        if (error.status != HG_BAD_ARGUMENT)
            std::abort();
    }
    try {
        check_picture(pictures[0], "picture", channels);
        check_picture(pictures[1], "result", channels);
        const View in = view_of(pictures[0]), out = view_of(pictures[1]);
        // What lies beyond the memory is the caller's mistake.
        if (in.width != out.width || in.height != out.height || !fits(in) || !fits(out) ||
            planes_overlap(out) || (overlap_partially(in, out) && !is_same_layout(in, out)))
            return 0;
        Planes planes;
        planes.resize(channels, (in.height + 7) / 8 * 8, (in.width + 7) / 8 * 8);
        to_planes(in, planes);
        if (channels == 3 && is_gray(in))
            write_gray(planes, in, out);
        else
            from_planes(planes, in, out);
    } catch (const Error &error) {
        if (error.status != HG_BAD_ARGUMENT)
            std::abort();
    }
    return 0;
}
