#include "text.hpp"

#include <algorithm>
#include <cmath>
#include <locale>
#include <sstream>

namespace hyperguide {

namespace {

constexpr std::size_t LONGEST = 64;

bool is_printable(char character) { return character >= ' ' && character <= '~'; }

}  // namespace

std::string written(double number) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << number;
    return out.str();
}

bool read_number(const std::string &text, double &number) {
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    in >> std::noskipws >> number;
    return in && in.peek() == std::istringstream::traits_type::eof() && std::isfinite(number);
}

std::string shown(std::string_view text) {
    std::string result(text.substr(0, LONGEST));
    std::replace_if(
        result.begin(), result.end(), [](char character) { return !is_printable(character); }, '?');
    return text.size() > LONGEST ? result + "..." : result;
}

bool is_word(std::string_view text) {
    const auto is_control = [](char character) {
        return static_cast<unsigned char>(character) < ' ' || character == 0x7f;
    };
    return !text.empty() && text.size() <= LONGEST &&
           std::none_of(text.begin(), text.end(), is_control);
}

}  // namespace hyperguide
