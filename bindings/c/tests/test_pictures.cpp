// What pictures are refused, and which overlap.
#include <iterator>
#include <limits>

#include "check.hpp"
#include "pictures.hpp"

using namespace hyperguide;

namespace {

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
    unusable_pictures_are_refused_with_a_sentence();
    colour_is_refused_for_gray_networks();
    overlapping_pictures_are_told_from_the_same_and_from_neighbours();
    return failures > 0;
}
