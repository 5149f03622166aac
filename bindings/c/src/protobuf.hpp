// The part of protocol buffers' wire format that an ONNX file's outline needs.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hyperguide {

// The bytes are not a well-formed message, or not an accepted one; the text says why.
struct Malformed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// How a field is stored.
enum class Wire { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
    std::uint32_t number;
    Wire wire;
    std::uint64_t value;    // of a varint
    std::string_view bytes;  // of all others
    std::string_view whole;  // key and length included
};

// Reads the fields of a message one after the other.
class Fields {
  public:
    explicit Fields(std::string_view message) : rest_(message) {}
    // Whether there is another field, which is then in `field`. Throws Malformed.
    bool next(Field &field);

  private:
    std::uint64_t varint();

    std::string_view rest_;
};

// A sub-message or string as a field of a message.
std::string submessage(std::uint32_t number, std::string_view content);

// Throws Malformed unless the bytes are UTF-8.
void check_text(std::string_view bytes);

}  // namespace hyperguide
