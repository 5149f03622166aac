/* Every format, with the library called directly as the reference. */
#include <hyperguide.h>
#include <math.h>

#include "check.h"
#include "frames.h"

enum { WIDTH = 97, HEIGHT = 65, PIXELS = WIDTH * HEIGHT };

static const struct Case {
    const gchar *format, *colorimetry;
    hg_format picture_format;
    hg_matrix matrix;
    hg_range range;
} cases[] = {
    {"NV12", "bt709", HG_NV12, HG_BT709, HG_LIMITED},
    {"NV12", "1:4:16:4", HG_NV12, HG_BT601, HG_FULL},
    {"NV12", "smpte240m", HG_NV12, HG_BT601, HG_LIMITED}, /* the library has no such matrix */
    {"I420", "bt601", HG_I420, HG_BT601, HG_LIMITED},
    {"I420", "1:3:5:1", HG_I420, HG_BT709, HG_FULL},
    {"P010_10LE", "bt2020", HG_P010, HG_BT2020, HG_LIMITED},
    {"P010_10LE", "1:6:13:7", HG_P010, HG_BT2020, HG_FULL},
    {"BGR", "sRGB", HG_BGR24, HG_BT709, HG_FULL},
    {"BGR", "2:1:7:1", HG_BGR24, HG_BT709, HG_LIMITED},
    {"RGB", "sRGB", HG_RGB24, HG_BT709, HG_FULL},
    {"RGBA", "sRGB", HG_RGBA, HG_BT709, HG_FULL},
};

static gchar *caps_of(const struct Case *test) {
    return g_strdup_printf("video/x-raw,format=%s,colorimetry=%s,width=%d,height=%d,framerate=25/1",
                           test->format, test->colorimetry, WIDTH, HEIGHT);
}

/* Enhances a frame in place with the library. values: receives the map. */
static void enhance_by_hand(const struct Case *test, hg_model *model, GstBuffer *buffer,
                            float *values) {
    GstVideoInfo info;
    g_autofree gchar *text = caps_of(test);
    g_autoptr(GstCaps) caps = gst_caps_from_string(text);
    GstMapInfo memory;
    gst_video_info_from_caps(&info, caps);
    gst_buffer_map(buffer, &memory, GST_MAP_READWRITE);
    hg_picture picture = {
        .format = test->picture_format,
        .width = WIDTH,
        .height = HEIGHT,
        .matrix = test->matrix,
        .range = test->range,
    };
    for (guint i = 0; i < GST_VIDEO_INFO_N_PLANES(&info); i++) {
        picture.planes[i] = memory.data + GST_VIDEO_INFO_PLANE_OFFSET(&info, i);
        picture.strides[i] = GST_VIDEO_INFO_PLANE_STRIDE(&info, i);
    }
    const hg_map map = {values, WIDTH, HEIGHT, 0};
    hg_session *session = hg_session_create(model, NULL);
    CHECK(hg_session_run(session, &picture, NULL, &picture, &map) == HG_OK);
    hg_session_destroy(session);
    gst_buffer_unmap(buffer, &memory);
}

static void every_format_is_enhanced_as_by_the_library(const struct Case *test, hg_model *model) {
    g_autofree gchar *caps = caps_of(test);
    g_autofree float *values = g_new(float, PIXELS);
    GstHarness *harness = harness_of(MODEL, caps);
    GstBuffer *frame = noisy_frame(caps, 0), *expected = noisy_frame(caps, 0);
    enhance_by_hand(test, model, expected, values);
    CHECK(!is_same(frame, expected));
    GstBuffer *result = enhanced(harness, frame);
    CHECK(is_same(result, expected));
    gst_buffer_unref(result);
    gst_buffer_unref(expected);
    gst_harness_teardown(harness);
}

/* The level of black, of white and of chroma without colour. */
static void levels_of(const struct Case *test, gint *black, gint *white, gint *neutral) {
    const gboolean is_limited = test->range == HG_LIMITED;
    const gint unit = test->picture_format == HG_P010 ? 4 : 1;
    *black = is_limited ? 16 * unit : 0;
    *white = is_limited ? 235 * unit : 256 * unit - 1;
    *neutral = 128 * unit;
}

static gint level_at(GstVideoFrame *frame, guint component, gint x, gint y) {
    const gboolean is_wide = GST_VIDEO_FRAME_COMP_DEPTH(frame, component) > 8;
    const guint plane = GST_VIDEO_FRAME_COMP_PLANE(frame, component);
    const gint offset =
        is_wide ? 2 * (component == 2) : GST_VIDEO_FRAME_COMP_POFFSET(frame, component);
    const guint8 *at = (const guint8 *)GST_VIDEO_FRAME_PLANE_DATA(frame, plane) + offset +
                       y * GST_VIDEO_FRAME_COMP_STRIDE(frame, component) +
                       x * GST_VIDEO_FRAME_COMP_PSTRIDE(frame, component);
    return is_wide ? GST_READ_UINT16_LE(at) >> 6 : *at;
}

static void the_map_is_shown_in_gray(const struct Case *test, hg_model *model) {
    g_autofree gchar *text = caps_of(test);
    g_autoptr(GstCaps) caps = gst_caps_from_string(text);
    g_autofree float *values = g_new(float, PIXELS);
    GstVideoInfo info;
    GstVideoFrame shown, given;
    gint black, white, neutral, darkest = G_MAXINT, brightest = 0, wrong = 0;
    hg_model_info about;
    hg_model_get_info(model, &about);
    levels_of(test, &black, &white, &neutral);
    gst_video_info_from_caps(&info, caps);
    GstHarness *harness = harness_of(MODEL, text);
    g_object_set(harness->element, "show-guidance", TRUE, "strength", 0.0, NULL);
    GstBuffer *frame = noisy_frame(text, 0), *by_hand = noisy_frame(text, 0);
    enhance_by_hand(test, model, by_hand, values);
    GstBuffer *result = enhanced(harness, gst_buffer_copy_deep(frame));
    gst_video_frame_map(&shown, &info, result, GST_MAP_READ);
    gst_video_frame_map(&given, &info, frame, GST_MAP_READ);
    for (gint y = 0; y < HEIGHT; y++)
        for (gint x = 0; x < WIDTH; x++) {
            const gfloat share =
                (values[y * WIDTH + x] - about.minimum) / (about.maximum - about.minimum);
            const gint level = level_at(&shown, 0, x, y);
            wrong += level != black + lrintf(share * (white - black));
            darkest = MIN(darkest, level);
            brightest = MAX(brightest, level);
            for (guint i = 1; i < 3; i++)
                wrong += GST_VIDEO_INFO_IS_YUV(&info) ? level_at(&shown, i, x / 2, y / 2) != neutral
                                                      : level_at(&shown, i, x, y) != level;
            if (GST_VIDEO_INFO_HAS_ALPHA(&info))
                wrong += level_at(&shown, 3, x, y) != level_at(&given, 3, x, y);
        }
    CHECK(wrong == 0);
    CHECK(darkest < brightest && darkest >= black && brightest <= white);
    gst_video_frame_unmap(&given);
    gst_video_frame_unmap(&shown);
    gst_buffer_unref(frame);
    gst_buffer_unref(by_hand);
    gst_buffer_unref(result);
    gst_harness_teardown(harness);
}

int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    g_autofree gchar *path = bundled(MODEL);
    const hg_model_options options = {.threads = 1};
    hg_model *model = hg_model_open(path, &options);
    if (!model)
        return printf("%s\n", hg_last_error()), 1;
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        every_format_is_enhanced_as_by_the_library(&cases[i], model);
        the_map_is_shown_in_gray(&cases[i], model);
    }
    hg_model_destroy(model);
    return failures > 0;
}
