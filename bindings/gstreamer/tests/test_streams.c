/* The element among others. */
#include "check.h"
#include "pipelines.h"

typedef struct {
    GstClockTime time, duration;
} Stamp;

static GstPadProbeReturn note_stamp(GstPad *pad, GstPadProbeInfo *info, gpointer stamps) {
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    const Stamp stamp = {GST_BUFFER_PTS(buffer), GST_BUFFER_DURATION(buffer)};
    (void)pad;
    g_array_append_val(stamps, stamp);
    return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn count_buffer(GstPad *pad, GstPadProbeInfo *info, gpointer count) {
    (void)pad, (void)info;
    g_atomic_int_inc((gint *)count);
    return GST_PAD_PROBE_OK;
}

static void timestamps_and_durations_are_kept(void) {
    GstElement *pipeline =
        pipeline_of("videotestsrc num-buffers=300 ! "
                    "video/x-raw,format=NV12,width=320,height=240,framerate=30000/1001 ! "
                    "hyperguide name=filter model=%s ! fakesink",
                    MODEL);
    GArray *in = g_array_new(FALSE, FALSE, sizeof(Stamp));
    GArray *out = g_array_new(FALSE, FALSE, sizeof(Stamp));
    watch(pipeline, "filter", "sink", note_stamp, in);
    watch(pipeline, "filter", "src", note_stamp, out);
    CHECK(play(pipeline) == NULL);
    CHECK(in->len == 300 && out->len == 300);
    CHECK(memcmp(in->data, out->data, 300 * sizeof(Stamp)) == 0);
    g_array_unref(in);
    g_array_unref(out);
    gst_object_unref(pipeline);
}

static void every_format_runs_between_converters(void) {
    const gchar *formats[] = {"NV12", "I420", "P010_10LE", "BGR", "RGB", "RGBA"};
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree gchar *description = g_strdup_printf(
            "videotestsrc num-buffers=3 ! videoconvert ! "
            "video/x-raw,format=%s,width=160,height=120 ! hyperguide name=filter model=%%s ! "
            "videoconvert ! video/x-raw,format=RGB ! fakesink",
            formats[i]);
        GstElement *pipeline = pipeline_of(description, MODEL);
        gint count = 0;
        watch(pipeline, "filter", "src", count_buffer, &count);
        CHECK(play(pipeline) == NULL);
        CHECK(count == 3);
        gst_object_unref(pipeline);
    }
}

/* Checks that an element fails on RGB with a kind of error, whose text has a part.
 * properties: of the element, with the path of a model in the place of %s. */
static void check_error(const gchar *properties, const gchar *model, GQuark domain, gint code,
                        const gchar *part) {
    g_autofree gchar *description = g_strdup_printf(
        "videotestsrc num-buffers=2 ! video/x-raw,format=RGB ! hyperguide %s ! fakesink",
        properties);
    GstElement *pipeline = pipeline_of(description, model);
    g_autoptr(GError) error = play(pipeline);
    CHECK(g_error_matches(error, domain, code));
    CHECK(error && strstr(error->message, part));
    gst_object_unref(pipeline);
}

static void errors_say_what_is_wrong(void) {
    const GQuark resource = GST_RESOURCE_ERROR;
    const gint unread = GST_RESOURCE_ERROR_OPEN_READ, settings = GST_RESOURCE_ERROR_SETTINGS;
    check_error("model=%s", "absent.onnx", resource, unread, "absent.onnx");
    check_error("model=/etc/hostname", "", resource, unread, "/etc/hostname");
    check_error("", "", resource, settings, "'model'");
    check_error("model=%s device=abacus", MODEL, resource, settings, "abacus");
    check_error("model=%s library=/none.so", MODEL, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT,
                "/none.so");
}

static void models_for_gray_pictures_take_yuv_but_no_rgb(void) {
    check_error("model=%s", GRAY_MODEL, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "");
    const gchar *sources[] = {"format=NV12", "format=RGB ! videoconvert"};
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++) {
        g_autofree gchar *description = g_strdup_printf(
            "videotestsrc num-buffers=2 ! video/x-raw,%s ! hyperguide model=%%s ! fakesink",
            sources[i]);
        GstElement *pipeline = pipeline_of(description, GRAY_MODEL);
        CHECK(play(pipeline) == NULL);
        gst_object_unref(pipeline);
    }
}

static GstPadProbeReturn note_level(GstPad *pad, GstPadProbeInfo *info, gpointer most) {
    g_autoptr(GstElement) queue = gst_pad_get_parent_element(pad);
    guint level;
    (void)info;
    g_object_get(queue, "current-level-buffers", &level, NULL);
    *(guint *)most = MAX(*(guint *)most, level);
    return GST_PAD_PROBE_OK;
}

/* Frames come every half millisecond, but take several. If none were dropped, nearly all of them
 * would wait at the end. */
static void if_frames_come_too_fast_they_are_dropped_and_do_not_pile_up(void) {
    GstElement *pipeline =
        pipeline_of("videotestsrc is-live=true num-buffers=4000 ! "
                    "video/x-raw,format=NV12,width=240,height=180,framerate=2000/1 ! "
                    "queue name=queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! "
                    "hyperguide name=filter threads=1 model=%s ! "
                    "fakesink sync=true qos=true max-lateness=20000000",
                    MODEL);
    gint in = 0, out = 0;
    guint most = 0;
    watch(pipeline, "filter", "sink", count_buffer, &in);
    watch(pipeline, "filter", "src", count_buffer, &out);
    watch(pipeline, "queue", "sink", note_level, &most);
    CHECK(play(pipeline) == NULL);
    CHECK(in == 4000);
    CHECK(out > 0 && out < in / 2);
    CHECK(most < 3000);
    gst_object_unref(pipeline);
}

static void pipelines_can_be_started_again_and_again(void) {
    GstElement *pipeline =
        pipeline_of("videotestsrc ! video/x-raw,format=BGR,width=160,height=120 ! "
                    "hyperguide name=filter model=%s ! fakesink",
                    MODEL);
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    const GstState stops[] = {GST_STATE_READY, GST_STATE_NULL};
    for (gint i = 0; i < 8; i++) {
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        /* The first frame is in the sink: the next one is being enhanced. */
        CHECK(gst_element_get_state(pipeline, NULL, NULL, GST_CLOCK_TIME_NONE) ==
              GST_STATE_CHANGE_SUCCESS);
        gst_element_set_state(pipeline, stops[i % 2]);
        CHECK(!gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR));
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
}

static void seeking_goes_on_with_frames(void) {
    GstElement *pipeline =
        pipeline_of("videotestsrc num-buffers=100 ! "
                    "video/x-raw,format=I420,width=160,height=120,framerate=10/1 ! "
                    "hyperguide name=filter model=%s ! fakesink",
                    MODEL);
    GArray *out = g_array_new(FALSE, FALSE, sizeof(Stamp));
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    gst_element_get_state(pipeline, NULL, NULL, GST_CLOCK_TIME_NONE);
    for (gint i = 1; i < 6; i++)
        CHECK(gst_element_seek_simple(pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH,
                                      i * GST_SECOND));
    gst_element_get_state(pipeline, NULL, NULL, GST_CLOCK_TIME_NONE);
    watch(pipeline, "filter", "src", note_stamp, out);
    CHECK(play(pipeline) == NULL);
    CHECK(out->len > 0 && g_array_index(out, Stamp, 0).time > 5 * GST_SECOND);
    g_array_unref(out);
    gst_object_unref(pipeline);
}

int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    timestamps_and_durations_are_kept();
    every_format_runs_between_converters();
    errors_say_what_is_wrong();
    models_for_gray_pictures_take_yuv_but_no_rgb();
    if_frames_come_too_fast_they_are_dropped_and_do_not_pile_up();
    pipelines_can_be_started_again_and_again();
    seeking_goes_on_with_frames();
    return failures > 0;
}
