// Vectors of floats whose memory engines read without crossing cache lines.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace hyperguide {

// Allocates memory that begins at a cache line. With that of malloc, OpenVINO took 3 % longer.
template <typename Value> struct AtCacheLine {
    using value_type = Value;

    static constexpr std::align_val_t LINE{64};

    AtCacheLine() = default;
    template <typename Other> AtCacheLine(const AtCacheLine<Other> &) {}

    Value *allocate(std::size_t count) {
        if (count > std::size_t(-1) / sizeof(Value))
            throw std::bad_array_new_length();
        return static_cast<Value *>(::operator new(count * sizeof(Value), LINE));
    }
    void deallocate(Value *values, std::size_t) { ::operator delete(values, LINE); }

    friend bool operator==(const AtCacheLine &, const AtCacheLine &) { return true; }
    friend bool operator!=(const AtCacheLine &, const AtCacheLine &) { return false; }
};

using Floats = std::vector<float, AtCacheLine<float>>;

}  // namespace hyperguide
