// Errors within the library: thrown where they are known, turned into a status by `guarded`.
#pragma once

#include <stdexcept>
#include <string>

#include "hyperguide.h"

namespace hyperguide {

// A sentence that says what is wrong, where, and what to do.
class Error : public std::runtime_error {
  public:
    Error(hg_status status, const std::string &sentence)
        : std::runtime_error(sentence), status(status) {}
    const hg_status status;
};

// What hg_last_error() and hg_last_status() return.
const char *last_error_of_thread() noexcept;
hg_status last_status_of_thread() noexcept;

// Set both and return the status.
hg_status report(hg_status status, const char *sentence) noexcept;
hg_status report_current_exception() noexcept;

// Runs an action; what it throws becomes the status and hg_last_error().
template <typename Action> hg_status guarded(Action action) noexcept {
    try {
        action();
        return HG_OK;
    } catch (...) {
        return report_current_exception();
    }
}

}  // namespace hyperguide
