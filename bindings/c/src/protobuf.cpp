#include "protobuf.hpp"

namespace hyperguide {

namespace {

void append_varint(std::string &to, std::uint64_t value) {
    for (; value > 0x7f; value >>= 7)
        to += char(value | 0x80);
    to += char(value);
}

}  // namespace

bool Fields::next(Field &field) {
    if (rest_.empty())
        return false;
    const std::string_view start = rest_;
    const std::uint64_t key = varint();
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
        throw Malformed("a field without a number");
    field = {std::uint32_t(key >> 3), Wire(key & 7), 0, {}, {}};
    std::uint64_t size = 0;
    switch (field.wire) {
    case Wire::varint:
        field.value = varint();
        break;
    case Wire::bytes:
        size = varint();
        break;
    case Wire::fixed64:
        size = 8;
        break;
    case Wire::fixed32:
        size = 4;
        break;
    default:
        throw Malformed("an unknown wire type");
    }
    if (size > rest_.size())
        throw Malformed("truncated");
    field.bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    field.whole = start.substr(0, start.size() - rest_.size());
    return true;
}

std::uint64_t Fields::varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        if (shift == 63 && byte > 1)
            break;
        value |= std::uint64_t(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    throw Malformed("truncated");
}

std::string submessage(std::uint32_t number, std::string_view content) {
    std::string field;
    append_varint(field, std::uint64_t(number) << 3 | std::uint64_t(Wire::bytes));
    append_varint(field, content.size());
    return field.append(content);
}

void check_text(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size();) {
        const auto first = static_cast<unsigned char>(bytes[i]);
        const int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2
                       : first >> 3 == 30 ? 3 : -1;
        if (more < 0 || i + more >= bytes.size())
            throw Malformed("text that is not in UTF-8");
        std::uint32_t point = more == 0 ? first : first & (0x3f >> more);
        for (int k = 1; k <= more; k++) {
            const auto byte = static_cast<unsigned char>(bytes[i + k]);
            if (byte >> 6 != 2)
                throw Malformed("text that is not in UTF-8");
            point = point << 6 | (byte & 0x3f);
        }
        static constexpr std::uint32_t LEAST[] = {0, 0x80, 0x800, 0x10000};
        if (point < LEAST[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            throw Malformed("text that is not in UTF-8");
        i += 1 + more;
    }
}

}  // namespace hyperguide
