// Frames are averaged where nothing moves, and a map says how much noise is left.
#pragma once

#include "agreement.hpp"
#include "filters.hpp"
#include "motion_search.hpp"
#include "noise_curve.hpp"
#include "planes.hpp"

namespace hyperguide {

// The share of the map of `TemporalAverage`: the network's own estimate has a say.
constexpr float MIX = 0.8f;

// Averages the frames of a video where nothing moves, or after undoing the motion.
//
// The network then has less noise to remove, and the map tells it how much: sigma / sqrt(n) after
// n frames.
//
//     if (temporal.next(frame, nullptr, picture, noise))
//         run(picture, with the map `noise` at the share MIX);
//     else
//         run(frame);
//     temporal.learn(the map that was used);
//
// How it works:
//
// - The average so far is moved as the picture moves: one shift for each tile of 64 pixels, found
//   on a reduced picture. Shifts by whole pixels blur nothing; others use a Lanczos filter.
// - Frame and average are compared in blocks, and in larger squares of them: mean colours, and the
//   energy of their difference. The excess over what noise of level sigma * sqrt(1 + 1 / n) would
//   give is a bias b of the average. It lowers the count: 1 / n becomes 1 / n + 4 b^2 / sigma^2, as
//   in a Kalman filter whose state has moved. Then the frame is averaged in with weight
//   1 / (n + 1).
// - A new average is used only when it has passed this test with several frames.
// - sigma is a function of brightness. It comes from the maps that the network finds where no
//   average was used, and from the differences of frames where nothing moves.
// - Noise is clipped at black and white, which makes averages too gray: the average is corrected by
//   the inverse of a clipped normal distribution's mean.
// - After a cut, or when the form of the frames changes, it starts anew. Where the level is below
//   2/255, pictures are left as they are.
class TemporalAverage {
  public:
    // limit: how many frames count at most, at least 1. More make the average slower to follow
    // small changes of light, and the result hardly better.
    // motion: whether to look for motion. Without it, averages are made only where nothing moves.
    explicit TemporalAverage(int limit = 32, bool motion = true) : limit_(limit), motion_(motion) {}

    // Averages the next frame, of 1 or 3 channels, with those before.
    // noise_level: of the frame, for each pixel, full scale = 1; null if it is not known.
    // Returns whether there is an average: then `picture` is to be enhanced, and `noise` is its
    // standard deviation in each pixel, full scale = 1. Otherwise the frame itself is, and its
    // noise is not known better than the network can tell.
    // Throws Error for NaN and infinity.
    bool next(const Planes &frame, const float *noise_level, Planes &picture, Floats &noise);

    // Learns the noise level from the map of the last picture, one value for each pixel: the one
    // that the network used, with the given one at MIX if there was one. Null teaches nothing.
    void learn(const float *guidance);

    // Forgets the frames so far.
    void reset();

  private:
    void start(const Planes &frame);
    bool continues(const Planes &frame) const;
    void follow_motion();
    void find_sigma(const float *noise_level);
    void find_brightness();
    void count_frames(bool learns);
    void learn_from(const Planes &levels, const Planes &where, float percent);
    void mix_blocks();
    void mix(const Planes &frame, bool is_used, Planes &picture);

    const int limit_;
    const bool motion_;
    MotionSearch search_;
    NoiseCurve curve_;
    Agreement agreement_;

    // What is known of the frames so far. Blocks are in levels, full scale = 255.
    bool started_ = false;
    Planes average_;
    Planes blocks_;  // means of the average
    Planes count_;  // frames that are averaged in each block
    Planes used_;   // share of the last frame in the picture that was given out, in each block
    Planes noise_;  // the map that was given out with it, in levels
    bool gave_noise_ = false;

    // Of the frame that is averaged, in each block.
    Planes frame_blocks_, differences_, sigma_, energy_, variance_, bias_, agree_;
    // Memory that is used again.
    Planes moved_, moved_count_, gray_, frame_gray_, brightness_, found_, fresh_;
    Floats some_, measured_, measured_brightness_, row_;
    Enlarger enlarger_, fresh_enlarger_;
};

}  // namespace hyperguide
