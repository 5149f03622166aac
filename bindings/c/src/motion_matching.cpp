#include "motion_matching.hpp"

#include <algorithm>
#include <cmath>

#include "filters.hpp"

namespace hyperguide {

namespace {

// Smallest side of the smallest picture, and how far tiles are shifted there.
constexpr int SMALLEST = 32, FURTHEST = 8;
// By how much the mean difference must fall, in deviations of the noise; and what halving a picture
// leaves of the noise, once, twice and more often: it is blurred at first.
constexpr float GAIN = 0.2f;
constexpr float LEFT[] = {0.89f, 0.73f, 0.62f};
// Steps from the best candidate to better ones beside it.
constexpr int STEPS = 2;

// The best shift of one tile so far.
class Choice {
  public:
    Choice(const Bordered &before, const Bordered &now, int row, int column, float gain)
        : before_(before), now_(now), top_(row * TILE), left_(column * TILE),
          height_(std::min(TILE, now.height() - top_)), width_(std::min(TILE, now.width() - left_)),
          gain_(gain), least_(left_over({})) {}

    void consider(Shift shift) {
        if (shift == best_)
            return;
        const float found = left_over(shift);
        if (found < least_ - gain_)
            best_ = shift, least_ = found;
    }

    void consider_around() {
        for (int step = 0; step < STEPS; step++) {
            const Shift middle = best_;
            for (int y = -1; y <= 1; y++)
                for (int x = -1; x <= 1; x++)
                    if (x || y)
                        consider({middle.x + float(x), middle.y + float(y)});
            if (best_ == middle)
                return;
        }
    }

    Shift best() const { return best_; }

  private:
    float left_over(Shift shift) const {
        return difference_of_tiles(now_.at(top_, left_), now_.stride(),
                                   before_.at(top_ + int(shift.y), left_ + int(shift.x)),
                                   before_.stride(), height_, width_);
    }

    const Bordered &before_, &now_;
    const int top_, left_, height_, width_;
    const float gain_;
    Shift best_;
    float least_;
};

}  // namespace

void Matching::operator()(const Planes &before, const Planes &now, float noise,
                          std::vector<Shift> &shifts) {
    build(before, now, noise);
    search_all(levels_[used_ - 1]);
    for (int i = used_ - 2; i >= 0; --i)
        refine(levels_[i], levels_[i + 1]);
    shifts = levels_[0].best;
}

void Matching::build(const Planes &before, const Planes &now, float noise) {
    used_ = 0;
    const Planes *one = &before, *two = &now;
    for (;;) {
        if (int(levels_.size()) == used_)
            levels_.emplace_back();
        Level &level = levels_[used_++];
        if (used_ > 1) {
            halved(*one, level.half_before);
            halved(*two, level.half_now);
            one = &level.half_before, two = &level.half_now;
            noise *= LEFT[std::min(used_ - 2, 2)];
        }
        level.before.set(*one);
        level.now.set(*two);
        level.rows = (one->height + TILE - 1) / TILE;
        level.columns = (one->width + TILE - 1) / TILE;
        level.gain = GAIN * noise;
        level.best.assign(std::size_t(level.rows) * level.columns, Shift());
        if (std::min(one->height, one->width) / 2 < SMALLEST)
            return;
    }
}

void Matching::search_all(Level &level) {
    for (int row = 0; row < level.rows; row++)
        for (int column = 0; column < level.columns; column++) {
            Choice choice(level.before, level.now, row, column, level.gain);
            for (int y = -FURTHEST; y <= FURTHEST; y++)
                for (int x = -FURTHEST; x <= FURTHEST; x++)
                    choice.consider({float(x), float(y)});
            level.best[std::size_t(row) * level.columns + column] = choice.best();
        }
}

void Matching::refine(Level &level, const Level &coarser) {
    const auto at = [](const Level &l, int row, int column) {
        row = std::min(std::max(row, 0), l.rows - 1);
        column = std::min(std::max(column, 0), l.columns - 1);
        return l.best[std::size_t(row) * l.columns + column];
    };
    for (int row = 0; row < level.rows; row++)
        for (int column = 0; column < level.columns; column++) {
            Choice choice(level.before, level.now, row, column, level.gain);
            // The tile itself first, then those on its side of it.
            const int down = row % 2 ? 1 : -1, right = column % 2 ? 1 : -1;
            for (int y : {0, down})
                for (int x : {0, right}) {
                    const Shift half = at(coarser, row / 2 + y, column / 2 + x);
                    choice.consider({2 * half.x, 2 * half.y});
                }
            if (column > 0)
                choice.consider(at(level, row, column - 1));
            if (row > 0)
                for (int x = -1; x <= 1; x++)
                    choice.consider(at(level, row - 1, column + x));
            choice.consider_around();
            level.best[std::size_t(row) * level.columns + column] = choice.best();
        }
}

}  // namespace hyperguide
