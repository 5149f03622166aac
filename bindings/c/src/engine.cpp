#include "engine.hpp"

#include <algorithm>
#include <string_view>

namespace hyperguide {

std::vector<Feed> with_defaults(std::vector<Feed> feeds, const std::vector<const char *> &inputs) {
    static constexpr float NOTHING = 0, WHOLE = 1;
    for (const char *input : inputs) {
        const std::string_view name = input;
        const bool is_fed = std::any_of(feeds.begin(), feeds.end(),
                                        [name](const Feed &feed) { return feed.name == name; });
        const bool is_map = name == name::GUIDANCE_IN || name == name::MIX;
        if (!is_fed)
            feeds.push_back({input, is_map ? &NOTHING : &WHOLE, {1, 1, 1, 1}});
    }
    return feeds;
}

Error engine_failure(hg_status kind, const std::string &sentence, const std::string &reason) {
    for (const char *word : {"bad_alloc", "bad alloc", "out of memory", "allocat"})
        if (reason.find(word) != std::string::npos)
            kind = HG_OUT_OF_MEMORY;
    return Error(kind, sentence + ": " + reason);
}

}  // namespace hyperguide
