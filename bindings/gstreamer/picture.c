#include "picture.h"

#include <math.h>

static hg_format format_of(const GstVideoFrame *frame) {
    switch (GST_VIDEO_FRAME_FORMAT(frame)) {
    case GST_VIDEO_FORMAT_NV12:
        return HG_NV12;
    case GST_VIDEO_FORMAT_I420:
        return HG_I420;
    case GST_VIDEO_FORMAT_P010_10LE:
        return HG_P010;
    case GST_VIDEO_FORMAT_BGR:
        return HG_BGR24;
    case GST_VIDEO_FORMAT_RGB:
        return HG_RGB24;
    case GST_VIDEO_FORMAT_RGBA:
        return HG_RGBA;
    default:
        g_assert_not_reached(); /* caps admit no others */
    }
}

static hg_matrix matrix_of(const GstVideoFrame *frame) {
    switch (frame->info.colorimetry.matrix) {
    case GST_VIDEO_COLOR_MATRIX_BT709:
        return HG_BT709;
    case GST_VIDEO_COLOR_MATRIX_BT601:
        return HG_BT601;
    case GST_VIDEO_COLOR_MATRIX_BT2020:
        return HG_BT2020;
    default:
        return GST_VIDEO_FRAME_HEIGHT(frame) >= 720 ? HG_BT709 : HG_BT601;
    }
}

static GstVideoColorRange range_of(const GstVideoFrame *frame) {
    const GstVideoColorRange range = frame->info.colorimetry.range;
    if (range != GST_VIDEO_COLOR_RANGE_UNKNOWN)
        return range;
    return GST_VIDEO_INFO_IS_YUV(&frame->info) ? GST_VIDEO_COLOR_RANGE_16_235
                                               : GST_VIDEO_COLOR_RANGE_0_255;
}

hg_picture picture_of(const GstVideoFrame *frame) {
    hg_picture picture = {
        .format = format_of(frame),
        .width = GST_VIDEO_FRAME_WIDTH(frame),
        .height = GST_VIDEO_FRAME_HEIGHT(frame),
        .matrix = matrix_of(frame),
        .range = range_of(frame) == GST_VIDEO_COLOR_RANGE_0_255 ? HG_FULL : HG_LIMITED,
    };
    for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES(frame); i++) {
        picture.planes[i] = GST_VIDEO_FRAME_PLANE_DATA(frame, i);
        picture.strides[i] = GST_VIDEO_FRAME_PLANE_STRIDE(frame, i);
    }
    return picture;
}

static void write_level(guint8 *to, guint level, const GstVideoFormatInfo *format) {
    if (GST_VIDEO_FORMAT_INFO_DEPTH(format, 0) > 8)
        GST_WRITE_UINT16_LE(to, level << GST_VIDEO_FORMAT_INFO_SHIFT(format, 0));
    else
        *to = (guint8)level;
}

/* Draws into luma, or into one of the colours. */
static void draw_component(GstVideoFrame *frame, guint component, const float *values,
                           float minimum, float maximum) {
    const gint width = GST_VIDEO_FRAME_WIDTH(frame);
    const gint step = GST_VIDEO_FRAME_COMP_PSTRIDE(frame, component);
    gint offsets[GST_VIDEO_MAX_COMPONENTS], scales[GST_VIDEO_MAX_COMPONENTS];
    gst_video_color_range_offsets(range_of(frame), frame->info.finfo, offsets, scales);
    for (gint y = 0; y < GST_VIDEO_FRAME_HEIGHT(frame); y++) {
        guint8 *to = (guint8 *)GST_VIDEO_FRAME_COMP_DATA(frame, component) +
                     (gsize)y * GST_VIDEO_FRAME_COMP_STRIDE(frame, component);
        const float *row = values + (gsize)y * width;
        for (gint x = 0; x < width; x++, to += step) {
            const float share = fminf(fmaxf((row[x] - minimum) / (maximum - minimum), 0), 1);
            write_level(to, offsets[component] + lrintf(share * scales[component]),
                        frame->info.finfo);
        }
    }
}

/* Fills planes as a whole, since GStreamer's offset of V in P010 is not in bytes. */
static void clear_chroma(GstVideoFrame *frame) {
    const guint depth = GST_VIDEO_FRAME_COMP_DEPTH(frame, 0), neutral = 1u << (depth - 1);
    for (guint i = 1; i < GST_VIDEO_FRAME_N_PLANES(frame); i++)
        for (gint y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT(frame, i); y++) {
            guint8 *to = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(frame, i) +
                         (gsize)y * GST_VIDEO_FRAME_PLANE_STRIDE(frame, i);
            guint8 *end = to + (gsize)GST_VIDEO_FRAME_COMP_WIDTH(frame, i) *
                                   GST_VIDEO_FRAME_COMP_PSTRIDE(frame, i);
            for (; to < end; to += depth > 8 ? 2 : 1)
                write_level(to, neutral, frame->info.finfo);
        }
}

void draw_map(GstVideoFrame *frame, const float *values, float minimum, float maximum) {
    const gboolean is_yuv = GST_VIDEO_INFO_IS_YUV(&frame->info);
    for (guint i = 0; i < (is_yuv ? 1 : 3); i++)
        draw_component(frame, i, values, minimum, maximum);
    if (is_yuv)
        clear_chroma(frame);
}
