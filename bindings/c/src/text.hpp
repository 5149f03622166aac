// Numbers and names within sentences.
#pragma once

#include <string>
#include <string_view>

namespace hyperguide {

// A number with a decimal point, whatever the locale of the program.
std::string written(double number);

// The number that a text is, with a decimal point, whatever the locale of the program. Returns
// false unless the whole text is a finite number.
bool read_number(const std::string &text, double &number);

// Text from a file, such that it can be shown: at most 64 bytes of printable ASCII.
std::string shown(std::string_view text);

// Whether a text has a length from 1 to 64 bytes and no control characters.
bool is_word(std::string_view text);

}  // namespace hyperguide
