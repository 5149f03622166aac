// What lets the compiler vectorise loops over pixels without changing a result.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

// Compiles a function a second time for AVX2, which is chosen when the library is loaded. Without
// FMA: a multiplication and an addition that are fused round differently from Python's. Sanitizers
// are not ready yet when the choice is made; other systems than glibc cannot choose.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HG_VECTORISED __attribute__((target_clones("avx2", "default")))
#else
#define HG_VECTORISED
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "P010 and RGBA are written as on little-endian machines"
#endif

namespace hyperguide {

inline std::int32_t bits_of(float value) {
    std::int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_of(std::int32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// Limits a value to [0, top]. Positive floats are in the order of their bits, and comparisons of
// floats are not vectorised: they might trap. NaN becomes 0 or top. Between a multiplication and
// `rounded` it also keeps compilers from fusing the two.
inline float limited(float value, float top) {
    return float_of(std::min(std::max(bits_of(value), 0), bits_of(top)));
}

// Rounds a value in [0, 2^22] half to even: floats of 2^23 and more have no fraction.
inline std::int32_t rounded(float value) {
    return bits_of(value + 8388608.0f) & 0x7fffff;
}

// The bits of NaN and infinity, without the sign, are not below this.
constexpr std::int32_t not_finite = 0x7f800000;

inline std::int32_t magnitude_bits(float value) {
    return bits_of(value) & 0x7fffffff;
}

}  // namespace hyperguide
