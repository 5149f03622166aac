#include "error.hpp"

#include <cstdio>
#include <new>

namespace hyperguide {

namespace {
// A buffer rather than a string: reporting must not fail when memory is out.
thread_local char last_error[1024] = "";
thread_local hg_status last_status = HG_OK;
}  // namespace

const char *last_error_of_thread() noexcept { return last_error; }

hg_status last_status_of_thread() noexcept { return last_status; }

hg_status report(hg_status status, const char *sentence) noexcept {
    std::snprintf(last_error, sizeof last_error, "%s", sentence);
    last_status = status;
    return status;
}

hg_status report_current_exception() noexcept {
    try {
        throw;
    } catch (const Error &error) {
        return report(error.status, error.what());
    } catch (const std::bad_alloc &) {
        return report(HG_OUT_OF_MEMORY, "There is not enough memory: free some, or give smaller pictures.");
    } catch (const std::exception &error) {
        return report(HG_FAILED, error.what());
    } catch (...) {
        return report(HG_FAILED, "A library that was loaded threw something unknown.");
    }
}

}  // namespace hyperguide
