// One stream of frames: what is set for it, and what is remembered.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "maps.hpp"
#include "model.hpp"
#include "picture.hpp"
#include "planes.hpp"
#include "stillness.hpp"
#include "temporal.hpp"

namespace hyperguide {

class Session {
  public:
    Session(std::shared_ptr<const Model> model, const hg_session_options &options);

    // Keeps other threads out while it lives; throws Error(HG_BUSY) if one is in.
    class Use {
      public:
        explicit Use(Session &session);
        ~Use();
        Use(const Use &) = delete;
        Use &operator=(const Use &) = delete;

      private:
        Session &session_;
    };

    // These need a Use.
    void run(const hg_picture *in, const hg_map *guidance, const hg_picture *out,
             const hg_map *guidance_out);
    void set_kernel(const float *values, std::int32_t rows, std::int32_t columns);
    void reset();

    // Makes the `run` in another thread throw Error(HG_CANCELLED).
    void cancel();

    // May be set while the session runs; takes effect on the next frame.
    std::atomic<float> strength{1}, guidance_scale{1}, smoothing;

  private:
    // The settings of the frame in progress.
    struct Settings {
        float strength, guidance_scale, smoothing;
    };

    // The dials of a call to the network.
    struct Dials {
        const float *guidance = nullptr;  // one value for each pixel, or null for the predicted map
        const float *mix = nullptr;      // its share, one value for each pixel; null for `share`
        float share = 1;
        float strength = 1;
    };

    // Reads the picture into frame_ or padded_, and the map into told_.
    void read(const View &from, const hg_map *guidance);
    // Enhances frame_ into result_ and map_.
    void enhance(const Planes *told);
    void enhance_average(const Planes *told);
    void enhance_smoothed(const Planes *told);
    // Throws Error(HG_CANCELLED) if the call was cancelled.
    void check_cancelled();
    // Runs the network on a picture of the frame's size.
    void call(const Planes &picture, const Dials &dials);
    // Sets the sizes of the frame and of what the network takes.
    void set_size(int height, int width);
    // Whether the network takes the frame's size.
    bool fits() const;
    // Planes of the frame's size, mirrored at the edge until the network takes them.
    const float *padded(const float *planes, int channels, Planes &into) const;

    std::shared_ptr<const Model> model_;
    std::unique_ptr<Runner> runner_;
    Floats kernel_;
    std::int32_t kernel_rows_ = 0, kernel_columns_ = 0;

    Settings now_{};
    Smoothing smoothing_;
    std::unique_ptr<TemporalAverage> average_;  // null if frames are not averaged

    // Of the frame in progress, kept so that memory is reused. The result and those called padded
    // have the size that the network takes.
    Planes frame_, told_, average_picture_, padded_, padded_guidance_, padded_mix_;
    Planes result_, map_;
    Floats noise_, guidance_, mix_;
    bool is_padded_ = false;  // whether padded_ was read from the picture, and frame_ was not

    std::mutex using_;  // of the two flags
    bool is_used_ = false, is_cancelled_ = false;
};

}  // namespace hyperguide
