// Tells where a video stands still: compares reduced frames, by the noise that they have.
#pragma once

#include "filters.hpp"
#include "planes.hpp"

namespace hyperguide {

// Mean difference of two frames, full scale = 1, from which on they count as different scenes.
constexpr float CUT = 0.12f;

// A gray copy of a frame at an eighth of its size.
void reduced(const Planes &frame, Planes &out);

// The difference of two reduced frames of equal size.
void difference(const Planes &one, const Planes &other, Planes &out);

// Whether two frames that differ by `change` show different scenes.
bool is_cut(const Planes &change);

// How still each part of a scene is: 1 still, 0 moving. The neighbours of what moves count as
// moving, too: the map there depends on it.
// change: the difference of two reduced frames.
// noise: standard deviation of the noise of a pixel, full scale = 1, for each reduced pixel.
void stillness(const Planes &change, const Planes &noise, Planes &still);

// A map of reduced frames at the size of whole ones.
void enlarged(const Planes &reduced_map, int height, int width, Floats &out);

// Smooths predicted maps over time. Maps that are predicted for each frame on its own flicker, and
// the pictures with them. So the map of a frame is mixed with that of the frame before, except
// where the picture moves, after a cut, or when the frame size changes.
//
//     if (smoothing.memory(frame, weight, guidance, mix))
//         the network takes both;
//     run;
//     smoothing.remember(map);
class Smoothing {
  public:
    // is_noise: whether maps show the noise level. Frames are compared by it then.
    explicit Smoothing(bool is_noise) : is_noise_(is_noise) {}

    // Takes the next frame. Fills in the map of the frame before, and its share of the mix, one
    // value for each pixel. Returns false, and fills in nothing, if there is none to mix in.
    // weight: share where nothing moves, in [0, 1). At 0 the frame is not looked at.
    // Throws Error for NaN and infinity.
    bool memory(const Planes &frame, float weight, Floats &guidance, Floats &mix);

    // Keeps the map that was used for the frame that `memory` took last.
    void remember(const float *guidance);

    // Forgets the frames so far.
    void reset();

  private:
    bool is_noise_;
    bool looked_ = false;  // whether glance_ shows the last frame
    int height_ = 0, width_ = 0;
    Planes glance_;  // the last frame, reduced
    // What is kept of a frame: a reduced copy, and the map that was used; empty if none is.
    Planes before_;
    Floats guidance_;
    Planes change_, noise_, still_;
};

}  // namespace hyperguide
