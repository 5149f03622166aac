#include "floats.hpp"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace hyperguide {

namespace {

constexpr std::size_t CACHE_LINE = 64, HUGE_PAGE = 2 << 20;

std::align_val_t alignment_of(std::size_t bytes) {
    return std::align_val_t(bytes < 2 * HUGE_PAGE ? CACHE_LINE : HUGE_PAGE);
}

void use_huge_pages([[maybe_unused]] void *memory, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
    // A system that has none says so, and goes on with ordinary pages.
    if (bytes >= 2 * HUGE_PAGE)
        madvise(memory, bytes & ~(HUGE_PAGE - 1), MADV_HUGEPAGE);
#endif
}

}  // namespace

void *allocate_for_engines(std::size_t bytes) {
    void *const memory = ::operator new(bytes, alignment_of(bytes));
    use_huge_pages(memory, bytes);
    return memory;
}

void free_for_engines(void *memory, std::size_t bytes) {
    ::operator delete(memory, alignment_of(bytes));
}

}  // namespace hyperguide
