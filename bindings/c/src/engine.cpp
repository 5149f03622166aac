#include "engine.hpp"

namespace hyperguide {

Error engine_failure(hg_status kind, const std::string &sentence, const std::string &reason) {
    for (const char *word : {"bad_alloc", "bad alloc", "out of memory", "allocat"})
        if (reason.find(word) != std::string::npos)
            kind = HG_OUT_OF_MEMORY;
    return Error(kind, sentence + ": " + reason);
}

}  // namespace hyperguide
