#include "json.hpp"

#include <cctype>
#include <cstdint>
#include <cstring>

#include "text.hpp"

namespace hyperguide {

namespace {

constexpr int DEEPEST = 64;

class Parser {
  public:
    explicit Parser(std::string_view text) : rest_(text) {}

    Json all() {
        Json value = one(0);
        space();
        if (!rest_.empty())
            throw JsonError("something follows the value");
        return value;
    }

  private:
    void space() {
        while (!rest_.empty() && std::strchr(" \t\r\n", rest_.front()) && rest_.front())
            rest_.remove_prefix(1);
    }

    bool take(std::string_view expected) {
        if (rest_.substr(0, expected.size()) != expected)
            return false;
        rest_.remove_prefix(expected.size());
        return true;
    }

    void need(std::string_view expected) {
        space();
        if (!take(expected))
            throw JsonError("'" + std::string(expected) + "' is missing");
    }

    Json one(int depth) {
        if (depth > DEEPEST)
            throw JsonError("it is nested too deeply");
        space();
        Json value;
        if (rest_.empty())
            throw JsonError("it ends early");
        if (rest_.front() == '"') {
            value.kind = Json::Kind::text;
            value.text = text();
        } else if (take("[")) {
            value.kind = Json::Kind::list;
            for (space(); !take("]"); space()) {
                if (!value.list.empty())
                    need(",");
                value.list.push_back(one(depth + 1));
            }
        } else if (take("{")) {
            value.kind = Json::Kind::object;
            for (space(); !take("}"); space()) {
                if (!value.object.empty())
                    need(",");
                space();
                std::string name = text();
                need(":");
                if (!value.object.emplace(std::move(name), one(depth + 1)).second)
                    throw JsonError("a name is there twice");
            }
        } else if (take("true")) {
            value.kind = Json::Kind::boolean;
            value.boolean = true;
        } else if (take("false")) {
            value.kind = Json::Kind::boolean;
        } else if (!take("null")) {
            value.kind = Json::Kind::number;
            value.number = number();
        }
        return value;
    }

    double number() {
        std::size_t length = 0;
        while (length < rest_.size() && (std::isdigit(static_cast<unsigned char>(rest_[length])) ||
                                         std::strchr("+-.eE", rest_[length])) && rest_[length])
            length++;
        const std::string digits(rest_.substr(0, length));
        double value = 0;
        if (!read_number(digits, value))
            throw JsonError("'" + digits.substr(0, 20) + "' is no number");
        rest_.remove_prefix(length);
        return value;
    }

    std::string text() {
        if (!take("\""))
            throw JsonError("a string is missing");
        std::string found;
        while (true) {
            if (rest_.empty())
                throw JsonError("a string has no end");
            const char next = rest_.front();
            rest_.remove_prefix(1);
            if (next == '"')
                return found;
            if (static_cast<unsigned char>(next) < 0x20)
                throw JsonError("a string has a control character");
            if (next == '\\')
                escape(found);
            else
                found += next;
        }
    }

    void escape(std::string &to) {
        if (rest_.empty())
            throw JsonError("a string has no end");
        const char code = rest_.front();
        rest_.remove_prefix(1);
        static constexpr char CODES[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
        if (code == 'u') {
            std::uint32_t point = four_digits();
            if (point >> 10 == 0x36) {  // the first of a pair that stands for one character
                if (!take("\\u"))
                    throw JsonError("half of a character is missing");
                const std::uint32_t low = four_digits();
                if (low >> 10 != 0x37)
                    throw JsonError("half of a character is missing");
                point = 0x10000 + ((point & 0x3ff) << 10 | (low & 0x3ff));
            } else if (point >> 10 == 0x37) {
                throw JsonError("half of a character is missing");
            }
            append_utf8(to, point);
        } else if (const char *place = code ? std::strchr(CODES, code) : nullptr) {
            to += MEANT[place - CODES];
        } else {
            throw JsonError("a string has an unknown escape");
        }
    }

    std::uint32_t four_digits() {
        std::uint32_t value = 0;
        for (int i = 0; i < 4; i++) {
            if (rest_.empty() || !std::isxdigit(static_cast<unsigned char>(rest_.front())))
                throw JsonError("a string has an unknown escape");
            const char digit = rest_.front();
            value = value * 16 + std::uint32_t(digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
            rest_.remove_prefix(1);
        }
        return value;
    }

    static void append_utf8(std::string &to, std::uint32_t point) {
        if (point < 0x80) {
            to += char(point);
            return;
        }
        const int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
        to += char((0xff00 >> (more + 1) & 0xff) | point >> 6 * more);
        for (int k = more - 1; k >= 0; k--)
            to += char(0x80 | (point >> 6 * k & 0x3f));
    }

    std::string_view rest_;
};

}  // namespace

Json Json::parse(std::string_view text) { return Parser(text).all(); }

std::string Json::quoted(std::string_view utf8) {
    std::string out = "\"";
    const auto unit = [&out](std::uint32_t code) {
        static const char *digits = "0123456789abcdef";
        out += "\\u";
        for (int shift = 12; shift >= 0; shift -= 4)
            out += digits[code >> shift & 15];
    };
    for (std::size_t i = 0; i < utf8.size();) {
        const auto first = static_cast<unsigned char>(utf8[i]);
        const int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        std::uint32_t point = more == 0 ? first : first & (0x3f >> more);
        for (int k = 1; k <= more && i + k < utf8.size(); k++)
            point = point << 6 | (static_cast<unsigned char>(utf8[i + k]) & 0x3f);
        i += 1 + more;
        static constexpr char CODES[] = "\"\\bfnrt", MEANT[] = "\"\\\b\f\n\r\t";
        if (const char *place = point && point < 0x80 ? std::strchr(MEANT, char(point)) : nullptr) {
            out += '\\';
            out += CODES[place - MEANT];
        } else if (point >= 0x20 && point < 0x7f) {
            out += char(point);
        } else if (point < 0x10000) {
            unit(point);
        } else {
            unit(0xd800 + ((point - 0x10000) >> 10));
            unit(0xdc00 + ((point - 0x10000) & 0x3ff));
        }
    }
    return out + '"';
}

}  // namespace hyperguide
