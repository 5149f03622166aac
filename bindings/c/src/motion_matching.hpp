// Motion by whole pixels, found by comparing tiles.
#pragma once

#include <deque>
#include <vector>

#include "motion_tiles.hpp"

namespace hyperguide {

// Compares tiles in a pyramid of pictures: all shifts in the smallest one, then those that were
// found around a tile, in the smaller picture and beside it. Any shift of noise looks good by
// chance, and the best of many does so mostly: so a shift must be better than none by more.
class Matching {
  public:
    // Finds a shift for each tile, in rows from the top.
    // before, now: of one channel and equal size, blurred.
    // noise: standard deviation of the noise of their difference.
    void operator()(const Planes &before, const Planes &now, float noise,
                    std::vector<Shift> &shifts);

    // The pictures themselves, after a call.
    const Bordered &before() const { return levels_[0].before; }
    const Bordered &now() const { return levels_[0].now; }

  private:
    struct Level {
        Planes half_before, half_now;  // empty in the first level
        Bordered before, now;
        int rows = 0, columns = 0;  // of tiles
        float gain = 0;            // by which a better shift must be better
        std::vector<Shift> best;
    };
    void build(const Planes &before, const Planes &now, float noise);
    void search_all(Level &level);
    void refine(Level &level, const Level &coarser);

    std::deque<Level> levels_;  // stay where they are when others follow
    int used_ = 0;  // levels
};

}  // namespace hyperguide
