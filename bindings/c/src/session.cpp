#include "session.hpp"

#include <algorithm>
#include <cstring>

#include "error.hpp"
#include "pixels.hpp"
#include "pixels_padding.hpp"

namespace hyperguide {

namespace {

// Copies a picture into one of the same format, matrix and range.
void copy_rows(const View &in, const View &out) {
    for (int i = 0; i < in.plane_count; i++)
        for (int y = 0; y < in.planes[i].height; y++)
            std::memmove(out.planes[i].row(y), in.planes[i].row(y), in.planes[i].row_bytes);
}

// Copies planes into the upper left of larger ones.
void place(const float *from, int channels, int height, int width, Planes &to) {
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < height; y++)
            std::memcpy(to.plane(c) + std::size_t(y) * to.width,
                        from + (std::size_t(c) * height + y) * width, sizeof(float) * width);
}

// Keeps the upper left of a map.
void crop(Planes &map, int height, int width) {
    for (int y = 1; y < height && map.width != width; y++)
        std::memmove(map.plane(0) + std::size_t(y) * width,
                     map.plane(0) + std::size_t(y) * map.width, sizeof(float) * width);
    map.resize(1, height, width);
}

// Mixes a frame into the result at a strength; the result may have padding.
void blend(const Planes &frame, float strength, Planes &result) {
    for (int c = 0; c < frame.channels; c++)
        for (int y = 0; y < frame.height; y++) {
            const float *before = frame.plane(c) + std::size_t(y) * frame.width;
            float *after = result.plane(c) + std::size_t(y) * result.width;
            for (int x = 0; x < frame.width; x++)
                after[x] = std::clamp(before[x] + strength * (after[x] - before[x]), 0.0f, 1.0f);
        }
}

void check_together(const View &in, const View &out) {
    if (in.width != out.width || in.height != out.height)
        throw Error(HG_BAD_ARGUMENT, "The result has another size than the picture: give both the "
                                     "same width and height.");
    if (planes_overlap(out))
        throw Error(HG_BAD_ARGUMENT, "Planes of the result overlap: give each its own memory.");
    if (overlap_partially(in, out))
        throw Error(HG_BAD_ARGUMENT, "Picture and result overlap without being the same: give the "
                                     "same picture twice, or memory of its own.");
}

void check_maps(const hg_map *guidance, const hg_map *guidance_out, const View &picture) {
    if (guidance)
        check_map(*guidance, "guidance map");
    if (!guidance_out)
        return;
    check_map(*guidance_out, "map to write");
    if (guidance_out->width != picture.width || guidance_out->height != picture.height)
        throw Error(HG_BAD_ARGUMENT, "The map to write has another size than the picture: give it "
                                     "the same width and height.");
}

// Copies a picture, by way of planes if the formats differ.
void copy(const View &in, int channels, Planes &planes, const View &out) {
    if (in.format == out.format && in.matrix == out.matrix && in.range == out.range) {
        copy_rows(in, out);
        return;
    }
    planes.resize(channels, in.height, in.width);
    to_planes(in, planes);
    from_planes(planes, in, out);
}

}  // namespace

Session::Session(std::shared_ptr<const Model> model, const hg_session_options &options)
    : smoothing(model->info.smoothing), model_(std::move(model)),
      runner_(model_->engine->runner()), smoothing_(model_->info.is_noise()) {
    if (model_->info.task == "denoise" && !options.no_temporal)
        average_ = std::make_unique<TemporalAverage>();
}

void Session::run(const hg_picture *in, const hg_map *guidance, const hg_picture *out,
                  const hg_map *guidance_out) {
    if (!in || !out)
        throw Error(HG_BAD_ARGUMENT, "The picture to read or to write is NULL.");
    const int channels = model_->info.channels();
    check_picture(*in, "in", channels);
    check_picture(*out, "out", channels);
    const View from = view_of(*in), to = view_of(*out);
    check_together(from, to);
    check_maps(guidance, guidance_out, from);
    now_ = {strength, guidance_scale, smoothing};
    if (now_.strength == 0) {
        copy(from, channels, frame_, to);
        return;
    }
    try {
        read(from, guidance);
        enhance(guidance ? &told_ : nullptr);
    } catch (...) {
        check_cancelled();  // a cancelled call fails for that reason
        throw;
    }
    check_cancelled();
    if (channels == 3 && is_gray(from))
        write_gray(result_, from, to);
    else
        from_planes(result_, from, to);
    if (guidance_out)
        write_map(map_, *guidance_out);
}

void Session::read(const View &from, const hg_map *guidance) {
    set_size(from.height, from.width);
    // Only what looks at frames needs one without padding.
    is_padded_ = !average_ && (now_.smoothing == 0 || guidance) && !fits();
    Planes &planes = is_padded_ ? padded_ : frame_;
    planes.resize(planes.channels, planes.height, planes.width);
    to_planes(from, planes);
    if (guidance)
        read_map(*guidance, model_->info, from.height, from.width, told_);
}

void Session::enhance(const Planes *told) {
    if (average_)
        enhance_average(told);
    else
        enhance_smoothed(told);
}

void Session::enhance_average(const Planes *told) {
    if (average_->next(frame_, told ? told->plane(0) : nullptr, average_picture_, noise_)) {
        smoothing_.reset();  // its map would be that of an average
        for (float &level : noise_)
            level = std::min(level, model_->info.maximum);
        Dials dials;
        dials.guidance = noise_.data();
        dials.share = told ? 1 : MIX;
        call(average_picture_, dials);
        // Whoever turns the strength down wants to see more of the frame, not of the average.
        if (now_.strength != 1)
            blend(frame_, now_.strength, result_);
    } else {
        enhance_smoothed(told);
    }
    if (!told)
        average_->learn(map_.plane(0));
}

void Session::enhance_smoothed(const Planes *told) {
    Dials dials;
    dials.strength = now_.strength;
    if (told) {
        dials.guidance = told->plane(0);
    } else if (now_.smoothing > 0 &&
               smoothing_.memory(frame_, now_.smoothing, guidance_, mix_)) {
        dials.guidance = guidance_.data();
        dials.mix = mix_.data();
    }
    call(frame_, dials);
    if (!told && now_.smoothing > 0)
        smoothing_.remember(map_.plane(0));
}

void Session::set_size(int height, int width) {
    const ModelInfo &info = model_->info;
    const int least = model_->engine->least_side();
    frame_.channels = padded_.channels = info.channels();
    frame_.height = height, frame_.width = width;
    padded_.height = info.padded(std::max(height, least));
    padded_.width = info.padded(std::max(width, least));
}

bool Session::fits() const {
    return padded_.height == frame_.height && padded_.width == frame_.width;
}

const float *Session::padded(const float *planes, int channels, Planes &into) const {
    if (fits())
        return planes;
    into.resize(channels, padded_.height, padded_.width);
    place(planes, channels, frame_.height, frame_.width, into);
    mirror_edges(into, frame_.width, frame_.height);
    return into.plane(0);
}

void Session::call(const Planes &picture, const Dials &dials) {
    if (kernel_rows_ > picture.height || kernel_columns_ > picture.width)
        throw Error(HG_BAD_ARGUMENT, "The kernel is larger than the picture: give a larger picture.");
    const int channels = frame_.channels, height = padded_.height, width = padded_.width;
    const float *image =
        is_padded_ ? padded_.plane(0) : padded(picture.plane(0), channels, padded_);
    std::vector<Feed> feeds = {{name::IMAGE, image, {1, channels, height, width}}};
    const auto scalar = [&feeds](const char *dial, const float &value) {
        feeds.push_back({dial, &value, {1, 1, 1, 1}});
    };
    if (dials.guidance) {
        feeds.push_back({name::GUIDANCE_IN, padded(dials.guidance, 1, padded_guidance_),
                         {1, 1, height, width}});
        if (dials.mix)
            feeds.push_back({name::MIX, padded(dials.mix, 1, padded_mix_), {1, 1, height, width}});
        else
            scalar(name::MIX, dials.share);
    }
    if (now_.guidance_scale != 1)
        scalar(name::SCALE, now_.guidance_scale);
    if (dials.strength != 1)
        scalar(name::STRENGTH, dials.strength);
    if (!kernel_.empty())
        feeds.push_back({name::KERNEL, kernel_.data(), {1, 1, kernel_rows_, kernel_columns_}});
    result_.resize(channels, height, width);
    map_.resize(1, height, width);
    check_cancelled();
    runner_->run(feeds, result_, map_);
    check_finite(map_, width, height);  // it may be remembered
    crop(map_, picture.height, picture.width);
}

void Session::set_kernel(const float *values, std::int32_t rows, std::int32_t columns) {
    if (values && !model_->takes_kernel)
        throw Error(HG_BAD_ARGUMENT, "A " + model_->info.task + " model takes no kernel: leave it "
                                     "out.");
    kernel_ = values ? read_kernel(values, rows, columns) : Floats();
    kernel_rows_ = values ? rows : 0;
    kernel_columns_ = values ? columns : 0;
}

void Session::reset() {
    smoothing_.reset();
    if (average_)
        average_->reset();
}

Session::Use::Use(Session &session) : session_(session) {
    const std::lock_guard<std::mutex> lock(session.using_);
    if (session.is_used_)
        throw Error(HG_BUSY, "The session is in use by another thread: give each its own session.");
    session.runner_->begin();
    session.is_used_ = true, session.is_cancelled_ = false;
}

Session::Use::~Use() {
    const std::lock_guard<std::mutex> lock(session_.using_);
    session_.is_used_ = false;
}

void Session::cancel() {
    const std::lock_guard<std::mutex> lock(using_);
    if (!is_used_)
        return;
    is_cancelled_ = true;
    runner_->cancel();
}

void Session::check_cancelled() {
    const std::lock_guard<std::mutex> lock(using_);
    if (is_cancelled_)
        throw Error(HG_CANCELLED, "The call was cancelled.");
}

}  // namespace hyperguide
