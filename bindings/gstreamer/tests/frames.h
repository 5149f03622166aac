/* An element in a harness, and frames for it. */
#pragma once

#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <string.h>

#define MODEL "denoise-live-int8.onnx"
#define GRAY_MODEL "denoise-gray-fast.onnx"
#define FRAME_TIME (GST_SECOND / 25)

/* The path of a bundled model; the caller frees it. */
static inline gchar *bundled(const gchar *file) {
    const gchar *folder = g_getenv("HYPERGUIDE_MODELS");
    return g_build_filename(folder ? folder : ".", file, NULL);
}

static inline GstHarness *harness_of(const gchar *file, const gchar *caps) {
    GstElement *element = gst_element_factory_make("hyperguide", NULL);
    g_autofree gchar *path = bundled(file);
    /* With one thread, the same frames give the same bits. */
    g_object_set(element, "model", path, "threads", 1, NULL);
    GstHarness *harness = gst_harness_new_with_element(element, "sink", "src");
    gst_object_unref(element);
    gst_harness_set_caps_str(harness, caps, caps);
    return harness;
}

static inline guint8 noise(GRand *random) {
    return (guint8)g_rand_int_range(random, -24, 25);
}

/* Frame `number` of a scene where nothing moves, with noise of its own. */
static inline GstBuffer *noisy_frame(const gchar *caps_text, guint number) {
    GstVideoInfo info;
    g_autoptr(GstCaps) caps = gst_caps_from_string(caps_text);
    g_assert(gst_video_info_from_caps(&info, caps));
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, info.size, NULL);
    GRand *random = g_rand_new_with_seed(number);
    GstMapInfo map;
    gst_buffer_map(buffer, &map, GST_MAP_WRITE);
    for (gsize i = 0; i < map.size; i++) {
        const guint8 scene = 96 + 64 * ((i / 640) % 2);
        if (GST_VIDEO_INFO_COMP_DEPTH(&info, 0) == 8)
            map.data[i] = scene + noise(random);
        else /* 10 bits in the upper part of 16 */
            map.data[i] = i % 2 ? (guint8)(scene + noise(random)) : 0xC0;
    }
    gst_buffer_unmap(buffer, &map);
    g_rand_free(random);
    GST_BUFFER_PTS(buffer) = number * FRAME_TIME;
    GST_BUFFER_DURATION(buffer) = FRAME_TIME;
    return buffer;
}

static inline gboolean is_same(GstBuffer *one, GstBuffer *other) {
    GstMapInfo first, second;
    gst_buffer_map(one, &first, GST_MAP_READ);
    gst_buffer_map(other, &second, GST_MAP_READ);
    const gboolean same =
        first.size == second.size && memcmp(first.data, second.data, first.size) == 0;
    gst_buffer_unmap(one, &first);
    gst_buffer_unmap(other, &second);
    return same;
}

/* What the element makes of a frame. */
static inline GstBuffer *enhanced(GstHarness *harness, GstBuffer *frame) {
    return gst_harness_push_and_pull(harness, frame);
}
